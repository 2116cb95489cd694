"""The tests mirror the code: a folder for each of its folders, and each file named after what it tests.

A test file has the name of a module or of its folder, ``test_conformal.py``, which more words may follow,
``test_conformal_coverage.py``.  Files directly in ``tests`` are about the repository as a whole; those in
``tests/benchmarks`` mirror ``benchmarks``.  A file that begins otherwise is a helper.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS, SOURCE = ROOT / "tests", ROOT / "src" / "bayescope"
FOLDERS = sorted({path.parent for path in SOURCE.rglob("*.py") if path.name != "__init__.py"} - {SOURCE})
FILES = sorted(path for path in TESTS.rglob("test_*.py") if path.parent != TESTS)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_each_folder_has_tests(folder: Path) -> None:
    assert list((TESTS / folder.relative_to(SOURCE)).glob("test_*.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_each_folder_has_tests_that_are_not_slow(folder: Path) -> None:
    texts = [file.read_text() for file in (TESTS / folder.relative_to(SOURCE)).glob("test_*.py")]
    quick = [text for text in texts if "pytestmark = pytest.mark.slow" not in text]
    found = [node for text in quick for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    tests = [node for node in found if node.name.startswith("test_")]
    assert not all("pytest.mark.slow" in map(ast.unparse, node.decorator_list) for node in tests)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_each_file_tests_a_module_or_its_folder(file: Path) -> None:
    place = file.parent.relative_to(TESTS)
    folder = ROOT / place if place.parts[0] == "benchmarks" else SOURCE / place
    inside = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    names = inside - {"__init__", "__pycache__"} | {folder.name}
    about = file.stem.removeprefix("test_")
    assert any(f"{about}_".startswith(f"{name}_") for name in names), f"begin its name with one of {sorted(names)}"


def test_each_file_has_a_name_of_its_own() -> None:
    """Pytest imports test files by their names alone."""
    names = [path.stem for path in TESTS.rglob("*.py") if path.stem != "__init__"]
    assert sorted({name for name in names if names.count(name) > 1}) == []
