"""``bayescope evaluate`` and the measured answers that ``report`` and ``demo`` share with it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bayescope.cli.progress import bar, console
from bayescope.cli.train import load
from bayescope.data.images import ImageSet
from bayescope.metrics import Estimate, measure
from bayescope.model import Answers, LikelihoodModel
from bayescope.shapes import Floats

NAME = "evaluate"

ErrorRate = Annotated[
    float | None,
    typer.Option(
        help="Stop when an answer differs from the full evaluation's with at most this probability; 0: weigh in full."
    ),
]
MaxPasses = Annotated[int | None, typer.Option(help="Most network passes per image.")]


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
    measures = measure(answers.posterior, images.labels)
    if as_json:
        values = {name: asdict(estimate) for name, estimate in measures.items()}
        typer.echo(json.dumps({"split": split, "images": len(images), "passes": answers.mean_passes, "measures": values}))
    else:
        console.print(
            measures_table(
                f"{data.name}, {split}: {len(images)} images, {answers.mean_passes:.1f} passes each on average", measures
            )
        )


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
) -> Answers:
    """Weigh the images with a progress bar."""
    with bar("weighing images", len(images)) as advance:
        return model.classify(images.pixels, class_prior, error_rate, max_passes, advance)


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
