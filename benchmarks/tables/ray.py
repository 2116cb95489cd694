"""Archives: the engines side by side, and the projection to several nodes."""

from typing import Any

from benchmarks.store import Store
from benchmarks.tables.markdown import read, table

ENGINES = {"local-1": "local, this process", "ray-1": "Ray, 1 worker", "ray-2": "Ray, 2 workers"}
HEADER = ("engine", "whole command, s", "images/s", "until the first part, s", "images/s after it", "peak of a worker, MiB")
NODES, WORKERS, ARCHIVE = (1, 2, 4, 8), 2, 1_000_000
STAGES = ("read", "pass", "write")


def section() -> list[str]:
    """Measured engines and, marked as such, the projection."""
    lines = ["## Classifying an archive", "", "    python -m benchmarks ray", ""]
    records = Store("ray").rows()
    lines += _engines({name: records[name] for name in ENGINES if name in records})
    return [*lines, *(_projection(records["constants"], read("prepare")[0]) if "constants" in records else [])]


def _engines(records: dict[str, Any]) -> list[str]:
    rows = [
        [
            ENGINES[name],
            f"{r['seconds']:.0f}",
            f"{r['images_per_second']:.1f}",
            f"{r['start_seconds']:.0f}",
            f"{r['steady_images_per_second']:.1f}",
            f"{r['worker_mib']:.0f}",
        ]
        for name, r in records.items()
    ]
    lines = table(HEADER, rows)
    if {"local-1", "ray-1"} <= set(records):
        local, ray = records["local-1"], records["ray-1"]
        whole = ray["seconds"] / local["seconds"] - 1
        steady = local["steady_images_per_second"] / ray["steady_images_per_second"] - 1
        loads = ", ".join(f"{r['load']:.1f}" for r in records.values())
        lines = [
            f"{local['files']:,} PNG files of 28 px, a phantom of three classes, every image scored in full; one thread a "
            f"worker. Ray with one worker takes {whole:+.0%} of the local engine's time for the whole command (aim: at most "
            f"+10 %), {steady:+.0%} once started; the machine was not idle throughout (load averages at the ends: {loads}).",
            "",
            *lines,
        ]
    return lines


def _projection(costs: dict[str, Any], film: dict[str, Any]) -> list[str]:
    """Seconds = start + max(N (read + pass + write) / workers, tasks × task) + N × merge; films: prepare in place of read."""
    film_seconds = film["workers"] / film["files_per_second"]
    tasks = ARCHIVE / costs["images_per_block"]

    def seconds(reading: float, nodes: int) -> float:
        compute = ARCHIVE * (reading + costs["pass"] + costs["write"]) / (nodes * WORKERS)
        return float(costs["start"] + max(compute, tasks * costs["task"]) + ARCHIVE * costs["merge"])

    rows = [
        [nodes, *(f"{found / 3600:.2f} h, {ARCHIVE / found:.0f}/s" for found in (small, films))]
        for nodes in NODES
        for small, films in [(seconds(costs["read"], nodes), seconds(film_seconds, nodes))]
    ]
    parts = ", ".join(f"{stage} {costs[stage] * 1000:.2f} ms" for stage in (*STAGES, "merge"))
    return [
        f"**Projection, not measured**: {ARCHIVE:,} images on nodes of {WORKERS} workers like this machine's. Model: "
        "seconds = start + max(images × (read + pass + write) / workers, tasks × task) + images × merge; storage is assumed to "
        f"serve all nodes as the local disk serves one. Constants measured on one thread: {parts} an image; Ray: start "
        f"{costs['start']:.0f} s, {costs['task'] * 1000:.1f} ms a task of {costs['images_per_block']} images in the driver. "
        f"Full-field mammograms are prepared in {film_seconds:.2f} s each, in place of read, as measured under preparing an "
        "archive; the pass is that of 28 px.",
        "",
        *table(("nodes", "PNG of 28 px", "full-field mammograms"), rows),
    ]
