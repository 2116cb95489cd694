"""Files of a run folder: written atomically, never pickled, read back exactly.

::

    config.toml        the configuration
    model.safetensors  weights (EMA) and image statistics; its metadata has scale, classes, weights of the levels, ...
    state.safetensors  what training needs to continue
    run.json           format version, data source, fingerprint, notes
    images.parquet     hashes of the images and patients of each split, see :mod:`bayescope.runs.training_record`
    metrics.jsonl      one line per validation
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bayescope.errors import RunError, writing

MEASURES = "measures.json"
"""What ``bayescope demo`` measured, or ``bayescope evaluate --out`` was told to write there."""
REPORT, CARD = "report.html", "README.md"
CONFIG, MODEL, STATE, MANIFEST, METRICS, RECORD = (
    "config.toml",
    "model.safetensors",
    "state.safetensors",
    "run.json",
    "metrics.jsonl",
    "images.parquet",
)


def write_atomically(path: Path, content: bytes) -> None:
    """Write and flush a file next to ``path``, then rename it: a reader sees the old file or the new, never a part."""
    with writing(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 as :func:`write_atomically`; bytes of a file name that are no UTF-8 become escapes."""
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file atomically; shared memory is copied."""
    own = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    write_atomically(path, save(own, metadata))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata.  Raises RunError if the file is missing or damaged."""
    with _opened(path) as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118


def load_metadata(path: Path) -> dict[str, str]:
    """The metadata alone.  Raises RunError if the file is missing or damaged."""
    with _opened(path) as file:
        return file.metadata() or {}


@contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{path}: cannot be read ({error}); expected a file written by `bayescope train`. Restore it from a copy, or train "
            "again with --force"
        ) from None


def read_json(path: Path, remedy: str = "Restore it from a copy, or train again with another --out") -> dict[str, Any]:
    """Raises RunError, with the ``remedy``, if the file is missing or no JSON."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}); expected a file that Bayescope wrote. {remedy}") from None
    return content


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Append one JSON line."""
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All complete JSON lines; a last line cut short by a crash is passed over."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
