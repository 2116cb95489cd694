"""Options shared by several commands, and functions that interpret them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bayescope.cli.output import complain, format_values, warn

if TYPE_CHECKING:
    from bayescope.types import Floats

Device = Annotated[str, typer.Option(help="Where to score images: auto (a GPU if there is one), cpu or cuda.")]
DisagreementRate = Annotated[
    float | None,
    typer.Option(
        help="Stop when a prediction differs from the full evaluation's with at most this probability; 0: score in full."
    ),
]
MaxPasses = Annotated[int | None, typer.Option(help="Most network passes per image.")]
Frame = Annotated[
    str | None,
    typer.Option(help="Which frame of a DICOM file of several, counted from 1, or all: each is then reported as FILE#NUMBER."),
]
Resize = Annotated[
    bool, typer.Option("--resize", help="Bring images of another size to the model's, keeping their aspect ratio (padded).")
]
Prevalence = Annotated[
    str | None,
    typer.Option(
        help="Class probabilities by name, e.g. cancer=0.01,normal=0.99 (default: the model's own, equal unless fitted or "
        "saved with another). Bare numbers are taken in the order of the classes, which is then printed."
    ),
]
Positive = Annotated[
    str | None,
    typer.Option(help="Class of the headline: sensitivity, specificity and predictive values (default: each class)."),
]
NormaliseLabels = Annotated[
    bool,
    typer.Option(
        "--normalise-labels", help="Take classes and patients that differ in case, blanks or number format for the same."
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse data with warnings, such as images or patients in more than one split.")
]


def frame_from_text(text: str | None) -> int | Literal["all"] | None:
    """A frame's number, from 1, or ``all``; None for None.  Raises ConfigError if it is anything else."""
    from bayescope.errors import ConfigError

    if text is None:
        return None
    if text == "all":
        return "all"
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"frame {text!r}; expected a number from 1 on, or all")
    return int(text)


def prior_from_text(text: str | None, class_names: tuple[str, ...]) -> Floats | None:
    """``cancer=0.1,normal=0.9``, or numbers alone, as probabilities of the classes; None for None.

    Says on standard error which class has which.  Raises ConfigError if it is anything else.
    """
    from bayescope.inference.predictions import check_prior

    if text is None:
        return None
    prior = check_prior(_named(text, class_names) if "=" in text else _bare(text, class_names), class_names)
    complain(f"prevalence: {format_values(dict(zip(class_names, prior.tolist(), strict=True)))}", "dim")
    return prior


def report_warnings(warnings: Iterable[str], strict: bool = False) -> None:
    """Say each warning on standard error.  Raises DataError for them if ``strict``."""
    from bayescope.errors import DataError

    found = [text for text in warnings if text]
    if found and strict:
        raise DataError("; ".join(found) + ". With --strict this is refused; correct the data, or leave --strict out")
    for text in found:
        warn(text)


def _bare(text: str, class_names: tuple[str, ...]) -> list[float]:
    from bayescope.errors import ConfigError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"prevalence {text!r}; expected numbers separated by commas, e.g. {_example(class_names)}") from None


def _named(text: str, class_names: tuple[str, ...]) -> dict[str, float]:
    """Numbers by class; a name may itself contain commas and equal signs."""
    from bayescope.errors import ConfigError

    found: dict[str, float] = {}
    pending = ""
    for part in text.split(","):
        pending = f"{pending},{part}" if pending else part
        name, equals, number = (piece.strip() for piece in pending.rpartition("="))
        try:
            value = float(number) if equals else None
        except ValueError:
            value = None
        if value is None or name not in class_names:
            continue
        if name in found:
            raise ConfigError(f"prevalence {text!r} gives {name} twice; expected each class once, e.g. {_example(class_names)}")
        found[name], pending = value, ""
    if pending or set(found) != set(class_names):
        wrong = (
            f"{pending!r} is no class with a number" if pending else f"no number for {', '.join(set(class_names) - set(found))}"
        )
        raise ConfigError(f"prevalence {text!r}: {wrong}; expected one for each class, e.g. {_example(class_names)}")
    return found


def _example(class_names: tuple[str, ...]) -> str:
    shares = [f"{name}={1 / len(class_names):.3g}" for name in class_names[:-1]]
    rest = 1 - sum(float(share.rpartition("=")[2]) for share in shares)
    return f'"{",".join([*shares, f"{class_names[-1]}={rest:.3g}"])}"'
