"""Comparison by cross-validation: every method trained on each fold, and the predictions of all test folds pooled."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bayescope.config import Config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.errors import DataError
from bayescope.evaluation.compare.groups import grouped_results
from bayescope.evaluation.compare.run import Result, compare
from bayescope.evaluation.folds import check_each_once


def pooled_data(folds: Sequence[Dataset]) -> Dataset:
    """The data of several folds as one, for a summary: the test images of all, the rest as in the first.

    Parameters
    ----------
    folds : sequence of Dataset
        The same images divided differently.

    Returns
    -------
    Dataset
        A single fold is returned as it is.

    Raises
    ------
    DataError
        If the folds have different classes, or an image is a test image in two of them.
    """
    if len(folds) == 1:
        return folds[0]
    for fold in folds:
        if fold.class_names != folds[0].class_names:
            raise DataError(
                f"{fold.source}: classes {', '.join(fold.class_names)}; expected those of {folds[0].source}: "
                f"{', '.join(folds[0].class_names)}. Give folds of the same data"
            )
    tests = [fold.test for fold in folds]
    check_each_once(tests)
    return replace(
        folds[0],
        test=ImageSet.joined(tests),
        notes=(*folds[0].notes, f"the test images of {len(folds)} folds pooled"),
        warnings=tuple(dict.fromkeys(text for fold in folds for text in fold.warnings)),
    )


def compare_folds(
    folds: Sequence[Dataset],
    config: Config,
    networks: Sequence[str],
    seeds: Sequence[int],
    fractions: Sequence[float],
    folder: Path,
    force: bool = False,
    done: Callable[[int], None] = lambda cells: None,
    by: str | None = None,
    any_of: str | None = None,
) -> list[Result]:
    """Compare on each fold as :func:`bayescope.evaluation.compare.run.compare` does, and pool the results.

    Parameters
    ----------
    folds : sequence of Dataset
        The same images divided differently; a single one is an ordinary comparison.
    config, networks, seeds, fractions, force, done
        As of :func:`~bayescope.evaluation.compare.run.compare`.
    folder : Path
        Folder of the results; each of several folds has a folder ``fold-0``, ``fold-1``, … in it.
    by, any_of : str, optional
        Predictions of patients, breasts or studies in place of images, as of
        :func:`bayescope.evaluation.compare.groups.grouped_data`.

    Returns
    -------
    list of Result
        Predictions of all test images, one fold after another; the times of training are means over the folds.

    Raises
    ------
    ConfigError, DataError, RunError
        As of :func:`~bayescope.evaluation.compare.run.compare`.
    """
    wanted = config, networks, seeds, fractions
    folders = [folder] if len(folds) == 1 else [folder / f"fold-{k}" for k in range(len(folds))]
    by_fold = [compare(fold, *wanted, place, force, done) for fold, place in zip(folds, folders, strict=True)]
    if by is not None:
        pairs = zip(by_fold, folds, strict=True)
        by_fold = [grouped_results(results, fold.test, by, any_of) for results, fold in pairs]
    return by_fold[0] if len(folds) == 1 else [_pooled(results) for results in zip(*by_fold, strict=True)]


def _pooled(results: Sequence[Result]) -> Result:
    def mean(what: str) -> float:
        return float(np.mean([getattr(result, what) for result in results]))

    images = [len(result.posterior) for result in results]
    return replace(
        results[0],
        train_images=round(mean("train_images")),
        posterior=[row for result in results for row in result.posterior],
        train_seconds=mean("train_seconds"),
        inference_seconds=sum(result.inference_seconds for result in results),
        passes=float(np.average([result.passes for result in results], weights=images)),
        steps=round(mean("steps")),
    )
