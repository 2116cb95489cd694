"""Runs the tutorials.

python docs/hooks/tutorials.py    # anew, keeping what they show
"""

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

TUTORIALS = sorted((Path(__file__).resolve().parents[1] / "tutorials").glob("*.ipynb"))
_SETTING = re.compile(r"^(\w+) = \d+", flags=re.MULTILINE)


def run(path: Path, **settings: int) -> NotebookNode:
    """The notebook with its outputs; ``settings`` in the place of the numbers that it sets under these names."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = _SETTING.sub(
            lambda found: f"{found[1]} = {settings[found[1]]}" if found[1] in settings else found[0], cell.source
        )
    NotebookClient(notebook, timeout=1800, kernel_name="python3", record_timing=False).execute()
    return notebook


if __name__ == "__main__":
    for tutorial in TUTORIALS:
        found = run(tutorial)
        found.metadata["language_info"] = {"name": "python"}  # whichever version it was
        nbformat.write(found, tutorial)
        print(tutorial)
