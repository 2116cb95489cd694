"""Evidence maps against the lesion's place, and insertion and deletion on real images."""

from benchmarks.tables.markdown import DATA_SETS, read, spread, table


def section() -> list[str]:
    """The phantom, and real images."""
    pointing = [
        [title, f"{r['share']:.3f}", f"{r['pointing']:.3f}", f"{r['area']:.3f}"]
        for record in read("maps", "phantom")
        for title, r in record.items()
    ]
    curves = []
    for name, title in DATA_SETS.items():
        records = read("maps", f"{name}-*")
        if records:
            keys = ("deletion, map", "deletion, random", "insertion, map", "insertion, random")
            curves.append([title, *(spread([r[key] for r in records]) for key in keys), records[0]["images"], len(records)])
    return [
        "## Evidence maps",
        "",
        "    python -m benchmarks maps --phantom RUN",
        "    python -m benchmarks maps --data FOLDER",
        "",
        "Phantom (a run folder of `bayescope demo`): share of the absolute evidence inside the lesion, how often the maximum",
        "is inside, and the lesion's share of the image, which is what chance would give.",
        "",
        *table(("map", "share inside", "pointing accuracy", "lesion's share of the image"), pointing),
        "Real images: area under the winner's posterior as pixels are blurred away (deletion: lower is better) or brought back",
        "(insertion: higher is better), in the order of the map and in random order.",
        "",
        *table(("data set", "deletion, map", "random", "insertion, map", "random", "images", "seeds"), curves),
    ]
