"""Options that several commands take, and what is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from bayescope.shapes import Floats

Device = Annotated[str, typer.Option(help="Where to weigh: auto (a GPU if there is one), cpu or cuda.")]
ErrorRate = Annotated[
    float | None,
    typer.Option(
        help="Stop when an answer differs from the full evaluation's with at most this probability; 0: weigh in full."
    ),
]
MaxPasses = Annotated[int | None, typer.Option(help="Most network passes per image.")]
Frame = Annotated[
    str | None,
    typer.Option(help="Which frame of a DICOM file of several, counted from 1, or all: each is then answered as FILE#NUMBER."),
]
Prevalence = Annotated[
    str | None,
    typer.Option(
        help="Class probabilities, e.g. 0.9,0.1 (default: the model's own, equal unless fitted or saved with another)."
    ),
]


def frame_from_text(text: str | None) -> int | Literal["all"] | None:
    """A frame's number, from 1, or ``all``; None for None.  Raises ConfigError if it holds anything else."""
    from bayescope.errors import ConfigError

    if text is None:
        return None
    if text == "all":
        return "all"
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"frame {text!r}; expected a number from 1 on, or all")
    return int(text)


def prior_from_text(text: str | None, class_names: tuple[str, ...]) -> Floats | None:
    """``0.9,0.1`` as probabilities of the classes; None for None.  Raises ConfigError if it holds anything else."""
    import numpy as np

    from bayescope.answers import check_prior
    from bayescope.errors import ConfigError

    if text is None:
        return None
    try:
        given = np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise ConfigError(f"prevalence {text!r}; expected numbers separated by commas, e.g. 0.9,0.1") from None
    return check_prior(given, class_names)
