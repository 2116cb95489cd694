"""The tutorials run from beginning to end on small settings, and what is kept of their outputs is small and whole."""

from pathlib import Path

import nbformat
import pytest
from docs.hooks.tutorials import TUTORIALS, run

SETTINGS = {"steps": 6, "n_images": 240}
LARGEST = 120_000
"""Bytes of a notebook."""


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_outputs_are_kept_and_small(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert path.stat().st_size < LARGEST
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run `make tutorials`"
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert kinds <= {"stream", "display_data", "execute_result"}
    assert not [output for cell in code for output in cell.outputs if output.get("name") == "stderr"]


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorials_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = run(path, **SETTINGS)
    sources = "\n".join(cell.source for cell in notebook.cells)
    assert all(f"\n{name} = {value}" in sources for name, value in SETTINGS.items())
    assert path.read_bytes() == before
