"""``bayescope evaluate`` and the measured answers that ``report`` and ``demo`` share with it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bayescope.answers import Answers
from bayescope.cli.progress import bar, console, warn
from bayescope.cli.train import load
from bayescope.data.images import ImageSet
from bayescope.metrics import Estimate, measure
from bayescope.model import LikelihoodModel
from bayescope.shapes import Floats

NAME = "evaluate"
_TINY = 1e-9

ErrorRate = Annotated[
    float | None,
    typer.Option(
        help="Stop when an answer differs from the full evaluation's with at most this probability; 0: weigh in full."
    ),
]
MaxPasses = Annotated[int | None, typer.Option(help="Most network passes per image.")]


@dataclass(frozen=True)
class Trust:
    """A measure of calibration, and what it would be of exactly right probabilities on as many images."""

    measured: Estimate
    expected_if_calibrated: Estimate


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    data: Annotated[Path, typer.Argument(help="The data the run was trained on, or other data of the same classes and size.")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    prevalence: Annotated[str | None, typer.Option(help="Class probabilities, e.g. 0.9,0.1 (default: equal).")] = None,
    error_rate: ErrorRate = None,
    max_passes: MaxPasses = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a trained classifier on labelled images.

    Example: bayescope evaluate runs/breast breastmnist.npz --prevalence 0.3,0.7
    """
    from bayescope.checkpoint import load_model

    model = load_model(run)
    images = labelled_split(model, data, split)
    answers = answer(model, images, prior_from_text(prevalence), error_rate, max_passes)
    measures = measure(answers.posterior, images.labels) | {"AURC": aurc(answers, images)}
    found = trust(model, answers, images)
    if as_json:
        record = {
            "split": split,
            "images": len(images),
            "passes": answers.mean_passes,
            "calibrated": model.calibration.calibrated,
            "warnings": [model.calibration.warning] if model.calibration.warning else [],
            "measures": {name: asdict(estimate) for name, estimate in measures.items()},
            "trust": {name: {what: asdict(row) for what, row in rows.items()} for name, rows in found.items()},
        }
        typer.echo(json.dumps(record))
    else:
        title = f"{data.name}, {split}: {len(images)} images, {answers.mean_passes:.1f} passes each on average"
        console.print(measures_table(title, measures))
        for name, rows in found.items():
            console.print(_trust_table(name, rows, model.calibration.calibrated))
        warn(model.calibration.warning)


def aurc(answers: Answers, images: ImageSet) -> Estimate:
    """Mean share of errors over all shares of images answered, the surest first."""
    import numpy as np

    from bayescope.decision import risk_coverage
    from bayescope.reliability import bootstrap

    posterior, labels = answers.posterior, images.labels
    return bootstrap(lambda chosen: np.array([risk_coverage(posterior[chosen], labels[chosen]).area]), len(labels))[0]


def trust(model: LikelihoodModel, answers: Answers, images: ImageSet) -> dict[str, dict[str, Trust]]:
    """Whether ratios and probabilities mean what they say: for each class against the rest (of two: the second), each measure.

    Probabilities are those at the class frequencies of these very images, so that a prevalence given amiss is no fault of the
    ratios.
    """
    import numpy as np

    from bayescope.reliability import assess, expected_if_calibrated

    counts = np.maximum(np.bincount(images.labels, minlength=images.n_classes), 1)
    posterior = answers.posterior_at(counts / counts.sum())
    measured = assess(answers.log_likelihood_ratio, posterior, images.labels)
    found = {}
    for k in range(images.n_classes) if images.n_classes > 2 else (1,):
        expected = expected_if_calibrated(posterior[:, k].clip(_TINY, 1 - _TINY))
        found[model.class_names[k]] = {what: Trust(value, expected[what]) for what, value in measured[k].items()}
    return found


def labelled_split(model: LikelihoodModel, data: Path, split: str) -> ImageSet:
    """One split of ``data``, checked against the model.  Raises DataError or ConfigError."""
    from bayescope.errors import ConfigError, DataError

    if split not in ("train", "val", "test"):
        raise ConfigError(f"split {split!r}; expected train, val or test")
    images: ImageSet = getattr(load(data, model.config.size, model.config.seed), split)
    if images.n_classes != len(model.class_names):
        raise DataError(
            f"{data.name}: classes {', '.join(images.class_names)}; the model expects {', '.join(model.class_names)}"
        )
    return images


def answer(
    model: LikelihoodModel,
    images: ImageSet,
    class_prior: Floats | None = None,
    error_rate: float | None = None,
    max_passes: int | None = None,
    test_novelty: bool = False,
) -> Answers:
    """Weigh the images with a progress bar."""
    with bar("weighing images", len(images)) as advance:
        return model.classify(images.pixels, class_prior, error_rate, max_passes, advance, test_novelty)


def prior_from_text(text: str | None) -> Floats | None:
    """``0.9,0.1`` as numbers; None for None.  Raises ConfigError if it holds anything else."""
    import numpy as np

    from bayescope.errors import ConfigError

    if text is None:
        return None
    try:
        return np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise ConfigError(f"prevalence {text!r}; expected numbers separated by commas, e.g. 0.9,0.1") from None


def _trust_table(name: str, rows: dict[str, Trust], calibrated: bool) -> Table:
    title = f"{name} against the rest{'' if calibrated else ': UNCALIBRATED likelihood ratios'}"
    table = Table(title=title, title_justify="left", caption="Cllr: bits; expected: of exactly right answers on as many images")
    for column in ("measure", "value (95 % interval)", "expected if calibrated (95 % range)"):
        table.add_column(column)
    for what, row in rows.items():
        table.add_row(what, str(row.measured), str(row.expected_if_calibrated))
    return table


def measures_table(title: str, measures: dict[str, Estimate], **others: dict[str, Estimate]) -> Table:
    """A table of measures with their intervals, other observers beside."""
    table = Table(title=title, title_justify="left")
    table.add_column("measure")
    table.add_column("value (95 % interval)")
    for name in others:
        table.add_column(name.replace("_", " "))
    for key, estimate in measures.items():
        table.add_row(key, str(estimate), *(str(other[key]) for other in others.values()))
    return table
