"""``bayescope evaluate`` and the measured answers that ``report`` and ``demo`` share with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from bayescope.cli.options import Device, ErrorRate, MaxPasses, Prevalence, prior_from_text
from bayescope.cli.output import add_row, check_free, new_table, print_json, say, show, warn, write_json_lines
from bayescope.cli.progress import bar
from bayescope.cli.train import load

if TYPE_CHECKING:
    from bayescope.answers import Answers
    from bayescope.data.images import Dataset, ImageSet
    from bayescope.data.intensity import Preparation
    from bayescope.metrics import Estimate
    from bayescope.model import LikelihoodModel
    from bayescope.shapes import Floats

NAME = "evaluate"
_TINY = 1e-9


@dataclass(frozen=True)
class Trust:
    """A measure of calibration, and what it would be of exactly right probabilities on as many images."""

    measured: Estimate
    expected_if_calibrated: Estimate


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    data: Annotated[Path, typer.Argument(help="The data the run was trained on, or other data of the same classes and size.")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    prevalence: Prevalence = None,
    error_rate: ErrorRate = None,
    max_passes: MaxPasses = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[Path | None, typer.Option(help="File to write the JSON to, before anything is printed.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file in --out.")] = False,
) -> None:
    """Measure a trained classifier on labelled images.

    Example: bayescope evaluate runs/breast breastmnist.npz --prevalence 0.3,0.7
    """
    from bayescope.checkpoint import load_model
    from bayescope.metrics import measure

    if out:
        check_free(out, force)
    model = load_model(run, device)
    images = labelled_split(model, data, split).images
    answers = answer(model, images, prior_from_text(prevalence, model.class_names), error_rate, max_passes)
    measures = measure(answers.posterior, images.labels, images.groups) | {"AURC": aurc(answers, images)}
    found, decided = trust(model, answers, images), decisions(model, answers, images)
    if as_json or out:
        record = {
            "split": split,
            "images": len(images),
            "passes": answers.mean_passes,
            "patients": None if images.groups is None else len(set(images.groups)),
            "calibrated": model.calibration.calibrated,
            "calibration_images": dict(zip(model.class_names, model.calibration.images, strict=True)),
            "decisions": decided,
            "warnings": [model.calibration.warning] if model.calibration.warning else [],
            "measures": {name: asdict(estimate) for name, estimate in measures.items()},
            "trust": {name: {what: asdict(row) for what, row in rows.items()} for name, rows in found.items()},
        }
        if out:
            write_json_lines(out, [record])
        if as_json:
            print_json(record)
    if not as_json:
        title = f"{data.name}, {split}: {len(images)} images, {answers.mean_passes:.1f} passes each on average"
        show(measures_table(title, measures))
        for name, rows in found.items():
            show(_trust_table(name, rows, model.calibration.calibrated))
        if model.calibration.calibrated:
            say(f"Calibration rests on validation images: {rests_on(model)}")
        if decided:
            table = new_table(
                "sets and abstention",
                "promised",
                "measured",
                title="Decisions at the model's own prior; promises hold with --error-rate 0",
            )
            for row in decision_rows(decided):
                add_row(table, *row)
            show(table)
        warn(model.calibration.warning)


def aurc(answers: Answers, images: ImageSet) -> Estimate:
    """Mean share of errors over all shares of images answered, the surest first."""
    from bayescope.decision import risk_coverage
    from bayescope.reliability import bootstrap

    posterior, labels = answers.posterior, images.labels
    return bootstrap(
        lambda chosen: np.array([risk_coverage(posterior[chosen], labels[chosen]).area]), len(labels), images.groups
    )[0]


def trust(model: LikelihoodModel, answers: Answers, images: ImageSet) -> dict[str, dict[str, Trust]]:
    """Whether ratios and probabilities mean what they say: for each class against the rest (of two: the second), each measure.

    Probabilities are those at the class frequencies of these very images, so that a prevalence given amiss is no fault of the
    ratios.
    """
    from bayescope.reliability import assess, expected_if_calibrated

    counts = np.maximum(np.bincount(images.labels, minlength=images.n_classes), 1)
    posterior = answers.posterior_at(counts / counts.sum())
    measured = assess(answers.log_likelihood_ratio, posterior, images.labels, images.groups)
    found = {}
    for k in range(images.n_classes) if images.n_classes > 2 else (1,):
        expected = expected_if_calibrated(posterior[:, k].clip(_TINY, 1 - _TINY))
        found[model.class_names[k]] = {what: Trust(value, expected[what]) for what, value in measured[k].items()}
    return found


def decisions(model: LikelihoodModel, answers: Answers, images: ImageSet) -> dict[str, Any] | None:
    """What prediction sets and abstention promise, and how they did; None if the model has none."""
    decided = model.decide(answers)
    if model.decisions is None or decided is None:
        return None
    sets, abstention = model.decisions.sets, model.decisions.abstention
    promised = {"miscoverage": sets.miscoverage, "risk": abstention.risk, "warning": abstention.warning}
    found = decided.measured(images.labels)
    return promised | found | {"set coverage": dict(zip(model.class_names, found["set coverage"], strict=True))}


@dataclass(frozen=True)
class LabelledSplit:
    """``images``, with classes and pixels as the model has them: split ``name`` of ``data``."""

    images: ImageSet
    name: str
    data: Dataset


def labelled_split(model: LikelihoodModel, path: Path, name: str) -> LabelledSplit:
    """One split of the data at ``path``, brought to the model's order of classes and type of pixels.

    Raises ConfigError for an unknown split, DataError for data of other classes, another type or another preparation.
    """
    from bayescope.data.cases import SPLITS
    from bayescope.data.images import as_stored
    from bayescope.errors import ConfigError, DataError

    if name not in SPLITS:
        raise ConfigError(f"split {name!r}; expected train, val or test")
    data = load(path, model.config.size, model.config.seed)
    if data.preparation != model.preparation:
        raise DataError(
            f"{path.name}: images prepared otherwise ({_told(data.preparation)}) than the model's "
            f"({_told(model.preparation)}). Give a cache of `bayescope prepare` with the settings of the one trained on"
        )
    images: ImageSet = getattr(data, name)
    number = np.array(class_numbers(images.class_names, model.class_names, path.name))
    pixels = as_stored(images.pixels, model.pixel_type, model.scale, path.name)
    images = replace(images, pixels=pixels, labels=number[images.labels], class_names=model.class_names)
    return LabelledSplit(images, name, data)


def _told(preparation: Preparation | None) -> str:
    return "not at all" if preparation is None else ", ".join(f"{k} {v}" for k, v in preparation.to_dict().items())


def class_numbers(found: tuple[str, ...], expected: tuple[str, ...], source: str) -> list[int]:
    """For each class ``found`` its number among those ``expected``.

    By name; where one side has bare numbers 0, 1, … instead of names, by these, and a warning says so.  Raises DataError if
    they are other classes.
    """
    from bayescope.errors import DataError

    if set(found) == set(expected):
        return [expected.index(name) for name in found]
    numbers = [str(k) for k in range(len(expected))]
    if len(found) != len(expected) or sorted(numbers) not in (sorted(found), sorted(expected)):
        raise DataError(
            f"{source}: classes {', '.join(found)}; the model expects {', '.join(expected)}. Name the classes alike, or give "
            "data of the model's classes"
        )
    order = [int(name) for name in found] if sorted(found) == sorted(numbers) else [expected.index(name) for name in numbers]
    pairs = ", ".join(f"{name} as {expected[k]}" for name, k in zip(found, order, strict=True))
    warn(f"{source}: classes without names on one side; taken by number: {pairs}")
    return order


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


def decision_rows(decided: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    """What was promised of sets and abstention and what was measured, in words; none for a model without."""
    if decided is None:
        return []
    rows = [
        (f"sets that hold {name}, where it is true", f"≥ {1 - decided['miscoverage']:.3g}", f"{share:.3f}")
        for name, share in decided["set coverage"].items()
    ]
    rows.append(("classes in a set", "", f"{decided['classes in a set']:.2f}"))
    if decided["warning"]:
        return [*rows, ("answered", "", "none: " + decided["warning"])]
    rows.append(("answered", "", f"{decided['answered']:.3f}"))
    return [*rows, ("wrong among the answered", f"≤ {decided['risk']:.3g}", f"{decided['wrong among answered']:.3f}")]


def rests_on(model: LikelihoodModel) -> str:
    """Validation images of each class that the calibration rests on, in words."""
    return ", ".join(f"{n} {name}" for name, n in zip(model.class_names, model.calibration.images, strict=True))


def _trust_table(name: str, rows: dict[str, Trust], calibrated: bool) -> Table:
    title = f"{name} against the rest{'' if calibrated else ': UNCALIBRATED likelihood ratios'}"
    columns = ("measure", "value (95 % interval)", "expected if calibrated (95 % range)")
    table = new_table(*columns, title=title, caption="Cllr: bits; expected: of exactly right answers on as many images")
    for what, row in rows.items():
        add_row(table, what, str(row.measured), str(row.expected_if_calibrated))
    return table


def measures_table(title: str, measures: dict[str, Estimate], **others: dict[str, Estimate]) -> Table:
    """A table of measures with their intervals, other observers beside."""
    table = new_table("measure", "value (95 % interval)", *(name.replace("_", " ") for name in others), title=title)
    for key, estimate in measures.items():
        add_row(table, key, str(estimate), *(str(other[key]) for other in others.values()))
    return table
