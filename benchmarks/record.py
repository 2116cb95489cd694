"""Keep a JSON file that a command wrote as a row of a benchmark.

python -m benchmarks record demo seed-0 demo-run/measures.json
python -m benchmarks record compare breastmnist compared.json
"""

import argparse
import json
from pathlib import Path

from benchmarks.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=("demo", "compare"), help="whose row it is")
    parser.add_argument("row", help="name of the row; one of this name is replaced")
    parser.add_argument("file", type=Path, help="what `bayescope demo` or `bayescope compare --json` wrote")
    args = parser.parse_args()
    Store(args.benchmark).put(args.row, json.loads(args.file.read_text(encoding="utf-8")))
