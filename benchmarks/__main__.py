"""``python -m benchmarks NAME OPTIONS`` runs one benchmark; ``python -m benchmarks render`` writes docs/results.md."""

import ast
import sys
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent


def benchmarks() -> dict[str, str]:
    """Modules with a ``main`` to run, by name, and the first line of what each says of itself."""
    found = {}
    for path in sorted(HERE.glob("[!_]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            found[path.stem] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def run() -> int:
    known, asked = benchmarks(), sys.argv[1] if len(sys.argv) > 1 else ""
    if asked not in known:
        print(f"usage: python -m benchmarks NAME OPTIONS\n{'' if asked in ('', '-h', '--help') else f'no benchmark {asked!r}'}")
        print("\n".join(f"  {name:12} {summary}" for name, summary in known.items()))
        return 0 if asked in ("-h", "--help") else 2
    sys.argv = [f"python -m benchmarks {asked}", *sys.argv[2:]]
    import_module(f"benchmarks.{asked}").main()
    return 0


if __name__ == "__main__":
    sys.exit(run())
