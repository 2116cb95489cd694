"""Speed of the network against what the device can do."""

from benchmarks.tables.markdown import read, table

PASSES_PER_IMAGE = 6
"""Of a decision between two classes that stops early as soon as it may: three draws under each."""

HEADER = (
    "side, px",
    "batch",
    "passes/s",
    "images/s",
    "time in convolutions and products",
    "FLOP/s over matmul rate",
    "peak after one batch, MiB",
    "after four, MiB",
)
TRAINING_HEADER = ("side, px", "images a step", "images/s", "FLOP/s over matmul rate", "peak, MiB")


def mebibytes(peak: float | None) -> str:
    """Whole ones, or a dash for a file from before every row had a process, and so a peak, of its own."""
    return "–" if peak is None else f"{peak:.0f}"


def section() -> list[str]:
    """Every device measured."""
    lines = ["## Throughput", "", "    python -m benchmarks throughput", ""]
    lines += [f"Images: decided between two classes in {PASSES_PER_IMAGE} passes, the fewest. –: no peak of the row's own.", ""]
    for record in read("throughput"):
        rows = [
            [
                r["size"],
                r["batch"],
                f"{r['passes_per_second']:.1f}",
                f"{r['passes_per_second'] / PASSES_PER_IMAGE:.1f}",
                f"{r['heavy_share']:.0%}",
                f"{r['flops_over_matmul']:.2f}",
                mebibytes(r.get("one_batch_mib")),
                mebibytes(r.get("four_batches_mib")),
            ]
            for r in record["rows"]
        ]
        lines += [
            f"{record['device']}, {record['threads']} threads, matrix products at {record['matmul_gflops']:.0f} GFLOP/s:",
            "",
        ]
        lines += table(HEADER, rows)
        if training := record.get("training"):
            lines += ["Training, with default settings:", ""]
            lines += table(
                TRAINING_HEADER,
                (
                    [
                        r["size"],
                        r["batch"],
                        f"{r['images_per_second']:.1f}",
                        f"{r['flops_over_matmul']:.2f}",
                        f"{r['peak_mib']:.0f}",
                    ]
                    for r in training
                ),
            )
    return lines
