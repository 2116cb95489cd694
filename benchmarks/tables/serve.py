"""Answers a second of the service beside images a second of the bare model, and memory over many requests."""

from typing import Any

import numpy as np

from benchmarks.tables.markdown import read, table

HEADER = (
    "clients",
    "requests/s",
    "of the bare model",
    "median, ms",
    "p99, ms",
    "images scored together",
    "network process, ms an image",
    "request process",
    "clients",
    "refused",
)


def section() -> list[str]:
    """Loads, and memory."""
    lines = ["## Service", "", "    python -m benchmarks serve", ""]
    for record in read("serve"):
        lines += _of(record)
    return lines


def _of(record: dict[str, Any]) -> list[str]:
    bare, bare_ms = float(np.mean(record["bare_images_per_second"])), float(np.mean(record["bare_ms_per_image"]))
    rows = [
        [
            clients,
            f"{found['per_second']:.1f}",
            f"{found['per_second'] / bare:.0%}",
            f"{found['p50_ms']:.0f}",
            f"{found['p99_ms']:.0f}",
            f"{found['images_per_batch']:.1f}",
            f"{found['network_ms']:.1f}",
            f"{found['requests_ms']:.1f}",
            f"{found['client_ms']:.2f}",
            f"{found['refused']:.0f}",
        ]
        for clients, found in record["clients"].items()
    ]
    rates = ", ".join(f"{rate:.1f}" for rate in record["bare_images_per_second"])
    memory = ", ".join(f"{mib:.0f} MiB after {int(requests):,}" for requests, mib in record["memory_mib"].items())
    return [
        f"A phantom of three classes, 32 px, one image a request over loopback, {record['threads']} thread(s) of "
        f"{record['cores']} cores for the network. The bare model, 64 images at a time in one process, in turn with these "
        f"loads: {bare:.1f} images/s ({rates}), {bare_ms:.1f} ms of processor "
        "time an image. The service scores in one process and answers requests in another, and the clients are a third; the "
        f"table has the processor time of each. Load average of the machine meanwhile: {record['load']:.1f}.",
        "",
        *table(HEADER, rows),
        f"Memory of the service: {memory} requests.",
        "",
    ]
