"""``cache.json``: the sources, settings and contents of a finished cache."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from bayescope.data.archives.base import Summary
from bayescope.data.preparation.mammogram import Preparation
from bayescope.errors import DataError

FORMAT = 3
MANIFEST = "cache.json"
PENDING = f".{MANIFEST}"


@dataclass(frozen=True)
class Manifest:
    """``digest`` is of cases, preparation and versions; ``broken`` says why by path; ``breast_not_found`` and
    ``for_processing`` count images."""

    format: int
    digest: str
    images: int
    class_names: tuple[str, ...]
    preparation: Preparation
    summary: Summary
    broken: dict[str, str]
    breast_not_found: int
    for_processing: int
    versions: dict[str, str]
    pixels_sha256: str


_MANIFEST = TypeAdapter(Manifest)


def read_manifest(folder: Path) -> Manifest:
    """Content of ``cache.json``.  Raises DataError if it is unfinished, damaged or of another version."""
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(
            f"{folder}: preparation has not finished; expected {MANIFEST}. Run `bayescope prepare` again to continue"
        )
    try:
        content = json.loads(path.read_bytes())
        if isinstance(content, dict) and content.get("format", FORMAT) != FORMAT:
            raise DataError(
                f"{folder}: cache of format {content['format']}; expected {FORMAT}. Prepare the images again, with --force"
            )
        return _MANIFEST.validate_python(content)
    except DataError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: damaged ({reason:.200}); expected what `bayescope prepare` wrote. Prepare the images again, with --force"
        ) from None


def write_pending(folder: Path, manifest: Manifest) -> None:
    """Write the pending manifest: the cache is not finished yet."""
    (folder / PENDING).write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")


def publish(folder: Path) -> None:
    """Put the manifest laid ready in its place: the cache is finished."""
    (folder / PENDING).replace(folder / MANIFEST)
