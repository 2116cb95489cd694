"""The tutorials run from beginning to end on small settings, and what is kept of their outputs is small and whole."""

import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from docs.hooks.notebooks import on_page_content
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


def test_pages_of_notebooks_link_to_pages_and_fetch_nothing() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="tutorials/a.ipynb"))
    html = '<script type="module">\nimport "https://cdn"\n</script><a href="../method.md#x"></a><a href="b.ipynb"></a>'
    assert on_page_content(html, page) == '<a href="../method.html#x"></a><a href="b.html"></a>'
    outside = '<a href="https://a.org/b.md"></a>'
    assert on_page_content(outside, page) == outside
    page.file.src_uri = "a.md"
    assert on_page_content(html, page) == html


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_links_lead_to_files(path: Path) -> None:
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    targets = re.findall(r"\]\((?!http)([^)#]+)", text)
    assert targets
    assert [target for target in targets if not (path.parent / target).is_file()] == []
