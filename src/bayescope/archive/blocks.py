"""Classification of one block of images: read, scored and written as one Parquet part, the same whichever engine does it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from bayescope.archive.addresses import local_copy
from bayescope.archive.ledger import Ledger
from bayescope.data.filesystem.names import printable
from bayescope.errors import DataError
from bayescope.evaluation.selection import images_of_cache, seen_splits
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.read import Frames, ModelInput, read_for_model
from bayescope.inference.trust_tests import TRUST_TESTS
from bayescope.json_values import finite
from bayescope.runs.folder import read_record
from bayescope.runs.model_file import load_model
from bayescope.types import Pixels

_PIXELS = 2**22
"""Of all images of a batch, which bounds the memory."""
_MOST_IMAGES = 512


@dataclass(frozen=True)
class Block:
    """Images of an archive: the ``number`` of the block, and files, or for a cache the positions of images in its split."""

    number: int
    files: tuple[str, ...] = ()
    positions: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.files) + len(self.positions)


def images_per_block(model: LikelihoodModel) -> int:
    """As many images as one batch may have."""
    return max(1, min(_MOST_IMAGES, _PIXELS // int(np.prod(model.image_shape))))


@dataclass(frozen=True)
class Options:
    """How images are classified: arguments of :func:`bayescope.archive.classify.classify_archive`.

    ``cache``: where images are positions in a split of a cache, its folder.
    """

    run: Path
    out: Path
    class_prior: tuple[float, ...] | None = None
    disagreement_rate: float | None = None
    max_passes: int | None = None
    trust_tests: bool = True
    frame: Frames = None
    resize: bool = False
    device: str = "cpu"
    cache: Path | None = None
    split: str = "test"


class BlockClassifier:
    """A worker: loads the model once, and classifies blocks.

    It computes on one thread, so that an image's answer does not depend on the number of cores.
    """

    def __init__(self, options: Options) -> None:
        self._options, self._ledger = options, Ledger(options.out)
        self._model, self._record = load_model(options.run, options.device), read_record(options.run)
        self._cache = None if options.cache is None else images_of_cache(self._model, options.cache, options.split)

    def __call__(self, block: Block) -> int:
        """Write the part of a block, unless it is there; the number of its images."""
        if not self._ledger.part(block.number).exists():
            with _one_thread():
                rows = list(self._rows(block))
            self._ledger.write(block.number, columns_of(rows, self._model))
        return len(block)

    def _rows(self, block: Block) -> Iterator[dict[str, Any]]:
        """A record of each image, or of the error of a file, in order."""
        if self._cache is not None:
            chosen = list(block.positions)
            names, pixels = [self._cache.names[i] for i in chosen], self._cache.pixels[chosen]
            yield from self._records(names, pixels, [()] * len(chosen))
            return
        waiting: list[ModelInput] = []
        for file in block.files:
            images, error = self._read(file)
            if images is not None:
                waiting.append(images)
            if error is not None or sum(each.pixels.size for each in waiting) >= _PIXELS:
                yield from self._classified(waiting)
                waiting = []
            if error is not None:
                yield {"image": printable(file), "error": error}
        yield from self._classified(waiting)

    def _read(self, file: str) -> tuple[ModelInput | None, str | None]:
        """The images of a file, and why some or all could not be read."""
        try:
            with local_copy(file) as path:
                if path.is_dir():
                    return None, printable(f"{file}: a folder; expected an image. Give the folder itself, or list its files")
                found = read_for_model(self._model, [path], self._options.frame, resize=self._options.resize)
                if found.names and not np.isfinite(found.pixels).all():
                    return None, printable(
                        f"{file}: pixels that are NaN or infinite; expected finite values. Correct the image"
                    )
                named = replace(found, names=tuple(name.replace(str(path), file) for name in found.names))
            failed = [left_out.reason.replace(str(path), file) for left_out in found.failed]
            return named if found.names else None, failed[0] if failed else None
        except DataError as error:
            return None, printable(str(error))
        except Exception as error:  # one file must not stop the others, whatever its reader meets
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return None, printable(f"{file}: cannot be read ({reason:.200}); expected a whole image. Leave it out")

    def _classified(self, inputs: Sequence[ModelInput]) -> Iterator[dict[str, Any]]:
        if inputs:
            names = [name for images in inputs for name in images.names]
            remarks = [remark for images in inputs for remark in images.remarks]
            yield from self._records(names, np.concatenate([images.pixels for images in inputs]), remarks)

    def _records(self, names: list[str], pixels: Pixels, remarks: list[tuple[str, ...]]) -> Iterator[dict[str, Any]]:
        options, model = self._options, self._model
        predictions = model.classify(
            pixels, options.class_prior, options.disagreement_rate, options.max_passes, trust_tests=options.trust_tests
        )
        if not options.trust_tests:
            predictions = replace(predictions, trust={})
        yield from map(finite, predictions.records(model, names, remarks, seen_splits(self._record, pixels)))


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def columns_of(rows: Sequence[dict[str, Any]], model: LikelihoodModel) -> dict[str, pa.Array]:
    """Records as columns of the same types in every part; those of trust tests have the type of their values."""
    by_class = pa.struct([(name, pa.float64()) for name in model.class_names])
    types: dict[str, Any] = {
        "image": pa.string(),
        "class": pa.string(),
        **dict.fromkeys(("prevalence", "posterior", "posterior_error", "log_likelihood_ratio"), by_class),
        **dict.fromkeys(("standard_error", "raw_log_likelihood_ratio", "calibration_images"), by_class),
        **dict.fromkeys(("calibrated", "abstained"), pa.bool_()),
        **dict.fromkeys(("prediction_set", "warnings"), pa.list_(pa.string())),
        "seen": pa.string(),
        "passes": pa.int64(),
        **dict.fromkeys(key for test in TRUST_TESTS.values() for key in test.keys),
        "error": pa.string(),
    }
    return {name: pa.array([row.get(name) for row in rows], kind) for name, kind in types.items()}
