"""Speed of the network against what the device can do."""

from tables.markdown import read, table

HEADER = (
    "side, px",
    "batch",
    "passes/s",
    "time in convolutions and products",
    "FLOP/s over matmul rate",
    "peak, MiB",
    "after four batches, MiB",
)


def section() -> list[str]:
    """Every device measured."""
    lines = ["## Throughput", "", "    python benchmarks/throughput.py", ""]
    for record in read("throughput-*.json"):
        rows = [
            [
                r["size"],
                r["batch"],
                f"{r['passes_per_second']:.1f}",
                f"{r['heavy_share']:.0%}",
                f"{r['flops_over_matmul']:.2f}",
                f"{r['peak_mib']:.0f}",
                f"{r['peak_mib_four_batches']:.0f}",
            ]
            for r in record["rows"]
        ]
        lines += [
            f"{record['device']}, {record['threads']} threads, matrix products at {record['matmul_gflops']:.0f} GFLOP/s:",
            "",
        ]
        lines += table(HEADER, rows)
    return lines
