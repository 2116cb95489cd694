"""Adapts a run to local labelled images, measures on folds whether that helps, and writes the adapted run with a page on it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bayescope.data.dataset import ImageSet
from bayescope.errors import RunError
from bayescope.evaluation.adaptation_page import adaptation_page
from bayescope.evaluation.progress import Progress, counting, no_progress
from bayescope.evaluation.result import Evaluation, Scored, class_frequencies_of, measured
from bayescope.evaluation.selection import ChosenImages, unseen_images
from bayescope.fitting.adapt import adapt
from bayescope.inference.predictions import Predictions
from bayescope.json_values import finite
from bayescope.metrics.bootstrap import Estimate, bootstrap, means_of
from bayescope.metrics.classification import surprise
from bayescope.runs.files import write_atomically, write_text
from bayescope.runs.folder import check_run, read_manifest, read_record, save_run
from bayescope.runs.model_file import load_model
from bayescope.types import Floats

PAGE, MEASURES = "adaptation.html", "adaptation.json"
NOVEL = 0.05


@dataclass(frozen=True)
class AdaptationResult:
    """What adapting a run to a site does for new images of the site, measured on folds of the local images.

    Parameters
    ----------
    before, after : Evaluation
        Of the run as it was, and of adapted ones, each measured on patients it was not adapted to.
    difference : Estimate
        Log loss after minus before, nats per image, at the class frequencies of the local images; negative is better.
    share_novel : float or None
        Share of the local images that the run, as it was, calls novel at the 5 % level; about 0.05 is expected of images like
        those it was validated on.  None without a novelty test.
    chosen : ChosenImages
        The local images.
    """

    before: Evaluation
    after: Evaluation
    difference: Estimate
    share_novel: float | None
    chosen: ChosenImages

    @property
    def verdict(self) -> Literal["helps", "harms", "makes no difference that these images show"]:
        """By the interval of ``difference``."""
        if self.difference.high < 0:
            return "helps"
        return "harms" if self.difference.low > 0 else "makes no difference that these images show"

    def to_dict(self) -> dict[str, Any]:
        """What ``bayescope adapt --json`` prints."""
        return {
            "verdict": self.verdict,
            "log loss, after minus before": asdict(self.difference),
            "share novel before": self.share_novel,
            "before": self.before.to_dict(self.chosen),
            "after": self.after.to_dict(self.chosen),
        }


def adapt_run(
    run: Path,
    data: Path,
    out: Path,
    *,
    split: str = "all",
    normalise_labels: bool = False,
    resize: bool = False,
    device: str = "auto",
    force: bool = False,
    warned: Callable[[Sequence[str]], None] = lambda warnings: None,
    progress: Progress = no_progress,
) -> AdaptationResult:
    """Adapt a run to local labelled images, as ``bayescope adapt`` does.

    Parameters
    ----------
    run : Path
        Run folder of ``bayescope train``.
    data : Path
        Labelled images of the site, of the run's classes.
    out : Path
        Folder of the adapted run, which also holds ``adaptation.html`` and ``adaptation.json``.
    split : str, default "all"
        Which images of ``data`` to adapt to, as of :func:`bayescope.evaluation.evaluate.evaluate_run`; images that the run was
        trained or validated on are left out.
    normalise_labels, resize, device, warned, progress
        As of :func:`~bayescope.evaluation.evaluate.evaluate_run`.
    force : bool, default False
        Whether to replace a run in ``out``.

    Returns
    -------
    AdaptationResult
        Whether it helps, and all measures.

    Raises
    ------
    RunError
        If ``run`` cannot be loaded, or ``out`` holds something and ``force`` is not given.
    DataError
        If the data cannot be read, do not fit the model, or hold too few unseen images.

    Examples
    --------
    >>> adapt_run(Path("runs/chest"), Path("local.csv"), Path("runs/chest-here")).verdict  # doctest: +SKIP
    'helps'
    """
    model, record = load_model(run, device), read_record(run)
    if out.resolve() == run.resolve():
        raise RunError(f"{out}: the run itself; expected another folder. Give another --out")
    manifest = read_manifest(run) | {"adapted_to": data.name}
    check_run(out, model.config, manifest, force=force)
    chosen = unseen_images(model, run, data, split, counting(progress, "reading images"), normalise_labels, resize)
    warned(chosen.warnings)
    images = chosen.images
    found = adapt(model, images, progress("scoring images", len(images)))
    before, after = found.before, found.after
    novelty = before.novelty
    result = AdaptationResult(
        measured([Scored(model, images, before)]),
        measured([Scored(found.model, images, after)]),
        _difference(before, after, images),
        None if novelty is None else float((novelty.p_value <= NOVEL).mean()),
        chosen,
    )
    known = None if record is None else record.with_validation(images)
    save_run(out, found.model, manifest | {"adapted_images": images.fingerprint()}, known, force=force)
    write_atomically(out / MEASURES, json.dumps(finite(result.to_dict()), indent=1).encode())
    write_text(out / PAGE, adaptation_page(result.before, result.after, result.difference, result.verdict, chosen))
    return result


def _difference(before: Predictions, after: Predictions, images: ImageSet) -> Estimate:
    prior = class_frequencies_of(images)

    def loss(predictions: Predictions) -> Floats:
        return surprise(predictions.posterior_at(prior), images.labels)

    return bootstrap(means_of(loss(after) - loss(before)), len(images), images.groups)[0]
