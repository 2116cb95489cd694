"""Mutation testing: changes the code in small ways and counts which changes the tests notice.

``make mutants``, or for some modules ``python -m tests.mutants 'evidence/*' 'metrics/delong.py'``.  Mutmut makes the changes,
and runs the quick tests of the changed function from the folder that mirrors the module's, the shortest first
(:mod:`tests.mutants.order`).  It works on a copy in ``build/mutants`` in which decorators are applied by an assignment, since
mutmut passes over functions that have any; constants and defaults of a module it leaves alone.  Changes of prose (texts with
a blank in them, and all that a ``raise`` says) are left out.  Of the others a share is drawn, by a hash of the change and a
seed, so that the sample stays the same while the rest of a module changes.

``summary.json`` holds the counts by module and the mutants that no test noticed; a run of some modules replaces theirs.
``survivors.md`` shows both, each survivor with the reason in ``reasons.toml`` why it may live.  ``before.json`` is the
``summary.json`` of the tests as they were before any was written against a survivor.  The exit code is 1 while a survivor has
no reason.
"""

import argparse
import json
import os
import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path

import tomli_w
from tests.mutants.mutant import Mutant, mutants_of, undecorated
from tests.mutants.survivors import FOLDER, STATES, Summary, read_reasons, read_summary, render

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "mutants"
PACKAGE = Path("src/bayescope")
MODULES = ["evidence/*", "calibration/*", "metrics/*", "data/splits.py", "cli/*"]
COPIED = ["src", "tests", "benchmarks", "recipes", "pyproject.toml", "README.md"]
SETTINGS = {
    "source_paths": ["src"],
    "also_copy": ["benchmarks", "recipes", "README.md"],
    "do_not_mutate_patterns": [r"raise \w+"],
    "process_isolation": "forkserver",
    "timeout_multiplier": 4.0,
    "timeout_constant": 15.0,
    "on_dependency_change": "ignore",
    "pytest_add_cli_args": [
        *("-p", "no:cacheprovider", "-p", "no:unraisableexception", "-p", "no:threadexception", "-p", "tests.mutants.order"),
        *("--hypothesis-profile=mutants", "-o", "filterwarnings="),
    ],
}
STATUS = {0: "survived", 1: "killed", 3: "killed", 33: "no tests", 5: "no tests", None: "not run"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=str(__doc__).split("\n")[0])
    parser.add_argument("modules", nargs="*", default=MODULES, help="patterns of paths in src/bayescope")
    parser.add_argument("--share", type=float, default=0.1, help="share of the mutants that is run")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--survivors", action="store_true", help="run those again that were not killed last time")
    parser.add_argument("--summary", type=Path, default=FOLDER / "summary.json", help="counts by module")
    options = parser.parse_args()
    if not options.survivors:
        shutil.rmtree(BUILD, ignore_errors=True)
    chosen = [path for path in source_files() if any(fnmatch(path.as_posix(), pattern) for pattern in options.modules)]
    copy_sources(chosen)
    os.chdir(BUILD)
    every = [mutant for path in chosen for mutant in mutants_of(PACKAGE / path)]
    drawn = [mutant for mutant in every if mutant.is_drawn(options.share, options.seed)]
    found = run(drawn, options.processes, options.survivors)
    return report(every, found, options.summary)


def source_files() -> list[Path]:
    """The modules that mutants are made of, relative to the package."""
    paths = (path.relative_to(ROOT / PACKAGE) for path in sorted((ROOT / PACKAGE).rglob("*.py")))
    return [path for path in paths if any(fnmatch(path.as_posix(), pattern) for pattern in MODULES)]


def copy_sources(chosen: list[Path]) -> None:
    """What mutmut and the tests need, with the decorators of the ``chosen`` modules rewritten."""
    for name in COPIED:
        origin, copy = ROOT / name, BUILD / name
        if origin.is_dir():
            shutil.copytree(origin, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, copy)
    tests = sorted({str(test) for path in chosen for test in tests_of(path)})
    mutated = {"only_mutate": [str(PACKAGE / path) for path in chosen]}
    selected = {"pytest_add_cli_args_test_selection": [*tests, "-m", "not slow"]}
    with (BUILD / "pyproject.toml").open("ab") as file:
        tomli_w.dump({"tool": {"mutmut": SETTINGS | mutated | selected}}, file)
    for path in chosen:
        target = BUILD / PACKAGE / path
        target.write_text(undecorated(target.read_text()))
    if (ROOT.parent / "shared").is_dir() and not (BUILD / "shared").exists():
        (BUILD / "shared").symlink_to(ROOT.parent / "shared")


def tests_of(path: Path) -> list[Path]:
    """The folder that mirrors a module's, or, in ``data``, which has many parts, the files named after the module."""
    folder = Path("tests") / path.parent
    if path.parent != Path("data"):
        return [folder]
    return [file.relative_to(ROOT) for file in (ROOT / folder).glob(f"test_{path.stem}*.py")]


def run(drawn: list[Mutant], processes: int, survivors: bool) -> dict[Mutant, str]:
    """What became of each mutant."""
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(map(str, (BUILD / "mutants" / "src", BUILD / "mutants"))),
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    sys.path[:] = [path for path in sys.path if Path(path or ROOT).resolve() != ROOT]
    from mutmut.__main__ import _run
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.workers.isolation import ForkServerRunner

    ForkServerRunner.run_clean_tests = lambda self, tests: 0  # they have just passed, when it was noted what they cover

    def exit_codes() -> dict[str, int | None]:
        codes: dict[str, int | None] = {}
        for path in {mutant.path for mutant in drawn}:
            data = SourceFileMutationData(path=path)
            data.load()
            codes |= data.exit_code_by_key
        return codes

    before = exit_codes() if survivors else {mutant.name: 0 for mutant in drawn}
    _run([mutant.name for mutant in drawn if before.get(mutant.name) not in (1, 3, None)], processes)
    codes = exit_codes()
    return {mutant: STATUS.get(codes[mutant.name], "timeout") for mutant in drawn}


def report(every: list[Mutant], found: dict[Mutant, str], target: Path) -> int:
    """Write counts and survivors; 1 if a survivor has no reason."""
    summary: Summary = read_summary(target) if target.is_file() else {}
    for module in sorted({mutant.module for mutant in every}):
        of_module = {mutant: status for mutant, status in found.items() if mutant.module == module}
        states = list(of_module.values())
        summary[module] = {
            "mutants": sum(mutant.module == module for mutant in every),
            "run": len(states) - states.count("not run"),
            **{state: states.count(state) for state in STATES},
            "alive": [mutant.described() for mutant, status in of_module.items() if status in ("survived", "no tests")],
        }
    target.write_text(json.dumps(summary, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return render(read_summary(), read_reasons())


if __name__ == "__main__":
    sys.exit(main())
