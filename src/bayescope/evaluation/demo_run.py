"""The demo from beginning to end: train on phantom images, and compare with the ideal observer."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bayescope.data.labelled import whole
from bayescope.evaluation.demo import attained, demo_config, demo_dataset, ideal_observer
from bayescope.evaluation.evaluate import Evaluation, evaluate
from bayescope.evaluation.progress import Progress, no_progress
from bayescope.evaluation.report.build import report_page
from bayescope.evaluation.selection import choose_images
from bayescope.fitting.fit import fit_run, images_to_score
from bayescope.metrics.bootstrap import Estimate
from bayescope.metrics.classification import measure
from bayescope.runs.files import REPORT, write_text
from bayescope.runs.folder import read_record


@dataclass(frozen=True)
class Demo:
    """What came of the demo.

    Parameters
    ----------
    found : Evaluation
        What was measured of the trained model on the test images.
    measures, ideal : mapping of str to Estimate
        Measures of the model and of the ideal observer on these images.
    seconds : int
        Time of training and scoring.
    report : Path
        The HTML report.
    """

    found: Evaluation
    measures: Mapping[str, Estimate]
    ideal: Mapping[str, Estimate]
    seconds: int
    report: Path

    @property
    def attained(self) -> dict[str, float]:
        """Share of the ideal observer's AUC and accuracy above chance that the model reaches."""
        chance = {"AUC": 0.5, "accuracy": 1 / self.found.images.n_classes}
        return {name: attained(self.measures[name].value, self.ideal[name].value, chance[name]) for name in chance}

    def to_dict(self) -> dict[str, Any]:
        """Content of ``measures.json``."""
        config = self.found.model.config
        about = {"seed": config.seed, "steps": config.training.steps, "seconds": self.seconds}
        return {
            **about,
            "passes": self.found.predictions.mean_passes,
            "bayescope": {name: asdict(estimate) for name, estimate in self.measures.items()},
            "ideal": {name: asdict(estimate) for name, estimate in self.ideal.items()},
        }


def run_demo(
    out: Path, seed: int = 0, steps: int | None = None, *, force: bool = False, progress: Progress = no_progress
) -> Demo:
    """Train on the phantom, compare with the ideal observer and write a report, as ``bayescope demo`` does.

    Parameters
    ----------
    out : Path
        Run folder to write.
    seed : int, default 0
        Seed of images, weights and noise.
    steps : int, optional
        Training steps; by default so many that two cores need less than five minutes.
    force : bool, default False
        Whether to replace a run in ``out``.
    progress : callable, optional
        Called as each stage begins, see :data:`bayescope.evaluation.progress.Progress`.

    Returns
    -------
    Demo
        Measures of the model and of the ideal observer.

    Raises
    ------
    RunError
        If ``out`` contains something and ``force`` is not given, or cannot be written.
    """
    began = time.perf_counter()
    config, data = demo_config(seed, steps), demo_dataset(seed)  # in this order: a wrong seed is refused at once
    step = progress("training", config.training.steps)
    scored = progress("scoring validation", images_to_score(data, config))
    model = fit_run(data, config, out, watch=lambda _: step(1), scored=scored, force=force)
    chosen = choose_images(whole(data), read_record(out), "test")
    found = evaluate(model, chosen.images, callback=progress("scoring images", len(chosen.images)))
    seconds = round(time.perf_counter() - began)
    reference = ideal_observer(chosen.images)
    measures, ideal = (
        measure(posterior, chosen.images.labels) for posterior in (found.predictions.posterior, *reference.values())
    )
    report = out / REPORT
    write_text(report, report_page(out, found, chosen, reference, progress))
    return Demo(found, measures, ideal, seconds, report)
