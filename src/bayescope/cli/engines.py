"""What the commands that run on an engine share: options, and classification of an archive into a Parquet file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayescope.cli.output import complain, print_json, resumable, say, warn
from bayescope.cli.progress import counter
from bayescope.engines import ENGINES

if TYPE_CHECKING:
    from bayescope.archive.classify import ArchiveResult

ENGINE_HELP = f"Where to run: {', '.join(ENGINES)}; local: on this machine, ray: on a Ray cluster (bayescope[ray])"
Address = Annotated[
    str | None,
    typer.Option(help="Of a running Ray cluster, with --engine ray (default: one is started on this machine)."),
]
_ANSWERS = ".parquet"


def check_archive_options(out: Path | None, of_archives: Mapping[str, object], of_files: Mapping[str, object]) -> bool:
    """Whether ``out`` asks for the classification of an archive.

    Raises ConfigError if options only of archives are given without, or options only of files with a Parquet ``out``.
    """
    from bayescope.errors import ConfigError

    is_archive = out is not None and out.suffix.lower() == _ANSWERS
    wrong = [name for name, value in (of_files if is_archive else of_archives).items() if value is not None]
    if wrong:
        what = f"a {_ANSWERS} --out" if is_archive else f"an --out that is no {_ANSWERS}"
        raise ConfigError(
            f"{', '.join(wrong)} with {what}; expected {', '.join(of_archives)} only with a {_ANSWERS} --out, and "
            f"{', '.join(of_files)} only without. Leave {' and '.join(wrong)} out, or give another --out"
        )
    return is_archive


def classify_into_parquet(
    run: Path, sources: list[str], out: Path, engine: str | None, as_json: bool, force: bool, **options: Any
) -> None:
    """Classify an archive with a progress bar, and say what was written.  Exit code 1 if some files could not be read."""
    from bayescope.archive.classify import classify_archive

    kept = f"what was done is kept beside {out}; continue with the same command"
    with resumable(lambda: kept), counter("classifying") as count:
        result = classify_archive(run, sources, out, engine=engine or "local", force=force, callback=count, **options)
    _tell(result, as_json)
    if result.errors:
        raise typer.Exit(1)


def _tell(result: ArchiveResult, as_json: bool) -> None:
    for split, role in (("train", "trained"), ("val", "validated")):
        if n := result.seen.get(split, 0):
            warn(f"the run was {role} on {n} of these {result.images} images: their predictions do not apply to new ones")
    if result.errors:
        warn(f"{result.errors} files could not be read: see the column error")
    if as_json:
        print_json({"summary": result.to_dict()})
        return
    if str(result.files):
        complain(str(result.files), "dim")
    say(f"Classified {result.images} images: {result.out}")
