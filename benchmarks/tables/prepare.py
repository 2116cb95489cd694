"""Preparation of an archive: speed and memory."""

from benchmarks.tables.markdown import read, table

HEADER = ("", "processes", "files", "files per second", "peak memory of all processes, MiB")


def section() -> list[str]:
    """Our command compared with the plain loop."""
    lines = ["## Preparing an archive", "", "    python -m benchmarks prepare", ""]
    records = read("prepare")
    for r in records:
        times = r["files_per_second"] / r["plain_files_per_second"]
        lines += [
            f"Phantom mammograms of {r['height']} × {r['width']} pixels, 12 bits, as DICOM ({r['distinct_files']} distinct "
            f"files under {r['files']} names), to {r['size']} × {r['size']}. Load of the machine at the end: {r['load']:.1f}. "
            f"`bayescope prepare` takes {times:.1f} times as many files per second as the plain loop.",
            "",
        ]
    rows = []
    for r in records:
        rows.append(
            [
                "`bayescope prepare`",
                r["workers"],
                r["files"],
                f"{r['files_per_second']:.2f}",
                f"{r['peak_resident_mib']:.0f} resident, {r['peak_proportional_mib']:.0f} proportional",
            ]
        )
        rows.append(["pydicom and scikit-image in a loop", 1, r["plain_files"], f"{r['plain_files_per_second']:.2f}", ""])
    return [*lines, *table(HEADER, rows)]
