"""Classification of an archive of any size by a trained run, into one Parquet file."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bayescope import __version__
from bayescope.archive.blocks import Block, BlockClassifier, Options, images_per_block
from bayescope.archive.ledger import Ledger
from bayescope.archive.listing import list_images
from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.preparation.cache import is_cache
from bayescope.data.preparation.manifest import MANIFEST
from bayescope.engines import open_engine
from bayescope.evaluation.selection import images_of_cache
from bayescope.inference.predictions import ClassPrior, check_prior
from bayescope.inference.read import Frames
from bayescope.inference.sizing import check_sizing
from bayescope.runs.files import CONFIG, MODEL
from bayescope.runs.model_file import load_model


@dataclass(frozen=True)
class ArchiveResult:
    """What came of classifying an archive.

    Parameters
    ----------
    out : Path
        The Parquet file.
    images : int
        Files, or images of a cache, that were listed.
    errors : int
        Rows of files that could not be read, with the reason in the column ``error``.
    seen : dict of str to int
        Rows of images that the run was trained or validated on, by split.
    files : FileSummary
        What was found in folders, and why files were left out.
    """

    out: Path
    images: int
    errors: int
    seen: dict[str, int]
    files: FileSummary

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON values."""
        return asdict(self) | {"out": str(self.out), "files": self.files.to_dict()}


def classify_archive(
    run: Path,
    sources: Sequence[str],
    out: Path,
    *,
    engine: str = "local",
    address: str | None = None,
    workers: int | None = None,
    class_prior: ClassPrior | None = None,
    disagreement_rate: float | None = None,
    max_passes: int | None = None,
    trust_tests: bool = True,
    frame: Frames = None,
    split: str = "test",
    resize: bool = False,
    device: str = "cpu",
    force: bool = False,
    callback: Callable[[int, int], None] = lambda done, total: None,
) -> ArchiveResult:
    """Classify the images of an archive, as ``bayescope classify RUN SOURCE --out answers.parquet`` does.

    Images are read and scored a block at a time by the workers, which write a part of the result for each; the same call
    continues one that was interrupted.  The rows do not depend on the engine or the number of workers.

    Parameters
    ----------
    run : Path
        Run folder.
    sources : sequence of str
        Paths or addresses, as of :func:`bayescope.archive.listing.list_images`; or one cache of ``bayescope prepare``.
    out : Path
        Parquet file to write: a row for each image, in order of file and frame, with the entries of
        :meth:`bayescope.inference.predictions.Predictions.records`, or the reason in the column ``error``.
    engine : str, default "local"
        ``"local"`` or ``"ray"``, see :data:`bayescope.engines.ENGINES`.
    address : str, optional
        Address of a running Ray cluster (default: one is started on this machine).
    workers : int, optional
        Processes (default: local, this one; ray, one for each core of the cluster).  Each computes on one thread.
    class_prior, disagreement_rate, max_passes, trust_tests
        As of :meth:`bayescope.inference.model.LikelihoodModel.classify`.
    frame, resize
        As of :func:`bayescope.inference.read.read_for_model`.
    split : str, default "test"
        Of a cache: ``"train"``, ``"val"``, ``"test"`` or ``"all"``.
    device : str, default "cpu"
        As of :func:`bayescope.runs.model_file.load_model`; with ``"cuda"`` on Ray, each worker has a GPU to itself.
    force : bool, default False
        Whether to replace ``out``, and to discard parts of another job.
    callback : callable, optional
        Called with the number of images done and of all.

    Returns
    -------
    ArchiveResult
        What was written.

    Raises
    ------
    DataError
        If a source is missing or has no image; not for a file that cannot be read.
    ConfigError
        If an option is not possible, or the engine is not installed.
    RunError
        If ``run`` has no model, ``out`` is in the way or cannot be written, or workers fail; what was done is kept.

    Examples
    --------
    >>> classify_archive(Path("runs/breast"), ["s3://bucket/images"], Path("answers.parquet"), engine="ray")  # doctest: +SKIP
    """
    opened = open_engine(engine, workers, address, gpus_per_worker=int(device == "cuda" and engine == "ray"))
    model = load_model(run)
    check_sizing(model, resize)
    prior = None if class_prior is None else tuple(check_prior(class_prior, model.class_names).tolist())
    only = Path(sources[0]) if len(sources) == 1 else None
    cache = only.absolute() if only is not None and is_cache(only) else None
    options = Options(
        *(run.absolute(), out.absolute(), prior, disagreement_rate, max_passes, trust_tests, frame, resize, device),
        cache=cache,
        split=split,
    )
    per_block = images_per_block(model)
    if cache is not None:
        names = images_of_cache(model, cache, split).names
        order, summary = sorted(range(len(names)), key=lambda i: names[i]), FileSummary.of(len(names), ())
        blocks = [Block(n, positions=tuple(part)) for n, part in enumerate(_parts(order, per_block))]
    else:
        listed = list_images(sources, with_dicom=model.preparation is not None)
        summary = listed.summary
        blocks = [Block(n, files=tuple(part)) for n, part in enumerate(_parts(listed.files, per_block))]
    ledger, total = Ledger(options.out), sum(map(len, blocks))
    ledger.start(_digest(options, blocks), force)
    waiting = [blocks[n] for n in ledger.waiting(len(blocks))]
    done = total - sum(map(len, waiting))
    callback(done, total)
    for images in opened.run(partial(BlockClassifier, options), waiting):
        done += images
        callback(done, total)
    counts = ledger.merge(len(blocks))
    return ArchiveResult(out, total, counts.errors, counts.seen, summary)


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _digest(options: Options, blocks: Sequence[Block]) -> str:
    """Of all that the rows depend on, apart from the content of the images."""
    digest = hashlib.sha256()
    for name in (MODEL, CONFIG):
        digest.update((options.run / name).read_bytes())
    settings = asdict(options) | {"run": "", "out": "", "cache": str(options.cache), "version": __version__}
    if options.cache is not None:
        digest.update((options.cache / MANIFEST).read_bytes())
    digest.update(json.dumps([settings, [(block.files, block.positions) for block in blocks]]).encode())
    return digest.hexdigest()
