"""Write docs/results.md from the measured JSON files in benchmarks/results.

python benchmarks/render.py
"""

from importlib import import_module

from tables.markdown import RESULTS

PAGE = RESULTS.parent.parent / "docs" / "results.md"
SECTIONS = (
    "medmnist",
    "learning",
    "demo",
    "phantom",
    "evidence",
    "classes",
    "throughput",
    "trust",
    "novelty",
    "shift",
    "robustness",
    "maps",
    "prepare",
    "compare",
)


def main() -> None:
    page = ["# Results", "", "Written by `python benchmarks/render.py` from the files in `benchmarks/results`.", ""]
    for name in SECTIONS:
        page += import_module(f"tables.{name}").section()
    page += (RESULTS / "notes.md").read_text().splitlines()
    PAGE.write_text("\n".join(page) + "\n")
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
