"""Archives: the engines side by side, and the projection to several nodes."""

from typing import Any

from benchmarks.store import Store
from benchmarks.tables.markdown import table

ENGINES = {"local-1": "local, this process", "ray-1": "Ray, 1 worker", "ray-2": "Ray, 2 workers"}
HEADER = ("engine", "whole command, s", "images/s", "until the first part, s", "images/s after it", "peak of a worker, MiB")
NODES, WORKERS, ARCHIVE = (1, 2, 4, 8), 2, 1_000_000
STAGES = ("read", "pass", "write")


def section() -> list[str]:
    """Measured engines and, marked as such, the projection."""
    lines = ["## Classifying an archive", "", "    python -m benchmarks ray", ""]
    records = Store("ray").rows()
    lines += _engines({name: records[name] for name in ENGINES if name in records})
    return [*lines, *(_projection(records["constants"]) if "constants" in records else [])]


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
            f"+10 %), {steady:+.0%} once started. Load averages at the ends: {loads}.",
            "",
            *lines,
        ]
    return lines


def _projection(costs: dict[str, Any]) -> list[str]:
    """Seconds = start + max(N (read + pass + write) / workers, tasks × task) + N × merge."""
    compute = sum(costs[stage] for stage in STAGES)
    tasks = ARCHIVE / costs["images_per_block"]
    rows = []
    for nodes in NODES:
        work, driver = ARCHIVE * compute / (nodes * WORKERS), tasks * costs["task"]
        seconds = costs["start"] + max(work, driver) + ARCHIVE * costs["merge"]
        rows.append([nodes, f"{seconds / 3600:.2f}", f"{ARCHIVE / seconds:.0f}", f"{driver / max(work, driver):.0%}"])
    parts = ", ".join(f"{stage} {costs[stage] * 1000:.2f} ms" for stage in (*STAGES, "prepare", "merge"))
    return [
        f"**Projection, not measured**: {ARCHIVE:,} such images on nodes of {WORKERS} workers like this machine's. Model: "
        "seconds = start + max(images × (read + pass + write) / workers, tasks × task) + images × merge; storage is assumed to "
        f"serve all nodes as the local disk serves one. Constants measured on one thread: {parts} an image; Ray: start "
        f"{costs['start']:.0f} s, {costs['task'] * 1000:.1f} ms a task of {costs['images_per_block']} images in the driver.",
        "",
        *table(("nodes", "hours", "images/s", "load of the driver"), rows),
    ]
