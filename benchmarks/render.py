"""Write docs/results.md from the rows kept in benchmarks/results.

python -m benchmarks render
"""

from importlib import import_module

from benchmarks.store import RESULTS

PAGE = RESULTS.parent.parent / "docs" / "results.md"
SECTIONS = (
    "medmnist",
    "learning",
    "sizes",
    "paper",
    "mias",
    "demo",
    "phantom",
    "evidence",
    "classes",
    "throughput",
    "crop",
    "export",
    "memory",
    "serve",
    "trust",
    "novelty",
    "shift",
    "site",
    "study",
    "robustness",
    "maps",
    "prepare",
    "ray",
    "node",
    "compare",
)


def main() -> None:
    page = ["# Results", "", "Written by `python -m benchmarks render` from the rows kept in `benchmarks/results`.", ""]
    for name in SECTIONS:
        page += import_module(f"benchmarks.tables.{name}").section()
    page += (RESULTS / "notes.md").read_text().splitlines()
    PAGE.write_text("\n".join(page) + "\n")
    print(PAGE.read_text())
