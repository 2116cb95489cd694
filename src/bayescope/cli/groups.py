"""What the commands that combine the images of a patient, breast or study share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayescope.cli.output import add_row, new_table
from bayescope.cli.tables import Column, Table

if TYPE_CHECKING:
    from bayescope.inference.groups import GroupPredictions

By = Annotated[
    str | None,
    typer.Option(help="Also combine the images of each patient, breast or study. Images are then scored in full by default."),
]
AnyOf = Annotated[
    str | None,
    typer.Option(
        "--any",
        help="With --by: the class that a patient, breast or study is of if any image is (default: all are of one class).",
    ),
]
Groups = Annotated[
    Path | None,
    typer.Option(
        help="With --by: table with a column path, and patient, side or study (default: the cache's own, or DICOM headers)."
    ),
]


Csv = Annotated[
    Path | None,
    typer.Option("--csv", help="With --by: also write the combined predictions and the shares of the images to this CSV file."),
]


def check_grouping(by: str | None, **others: object) -> None:
    """Raise ConfigError if ``by`` is unknown, or there are ``others``, by option, without it."""
    from bayescope.data.groups import GROUPS
    from bayescope.errors import ConfigError

    given = [f"--{name}" for name, value in others.items() if value is not None]
    if by is None and given:
        raise ConfigError(f"{', '.join(given)} without --by; expected both. Add --by patient, breast or study")
    if by is not None and by not in GROUPS:
        raise ConfigError(f"--by {by}; expected one of {', '.join(GROUPS)}")


def scoring_rate(by: str | None, disagreement_rate: float | None) -> float | None:
    """The rate to score with: in full for groups, as their images were when the pooling was learned, unless one is given."""
    return 0.0 if by is not None and disagreement_rate is None else disagreement_rate


def write_group_csv(path: Path, found: GroupPredictions, images: Sequence[str]) -> None:
    """Write a row for each image, atomically."""
    import csv
    import io

    from bayescope.runs.files import write_text

    rows, text = list(found.rows(images)), io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def group_table(found: GroupPredictions, images: Sequence[str]) -> Table:
    """The ratio of each group, and below it the share of each image."""
    by, pooling = found.pooling.by, found.pooling
    caption = (
        f"{found.rule}; correlation of the images' evidence {pooling.correlation:.2f}"
        f"{'' if pooling.fitted else ', assumed: the ratio is the mean'}; an image's share of the ratio is below it, in nats"
    )
    columns = (Column(by, kind="name"), Column("class", kind="label"), Column("p, %", right=True), "LLR ± SE or share")
    table = new_table(*columns, title=f"By {by}", caption=caption)
    for g, name in enumerate(found.names):
        k = int(found.log_posterior[g].argmax())
        ratio, error = found.log_likelihood_ratio[g, k], found.standard_error[g, k]
        shown = f"{ratio:+.2f}" if error != error else f"{ratio:+.2f} ± {error:.2f}"
        add_row(table, name or "not named", found.class_names[k], f"{100 * found.posterior[g, k]:.1f}", shown)
        for i, share in zip(found.members[g], found.shares[g], strict=True):
            add_row(table, f"  {images[i]}", "", "", f"{share[k]:+.2f}")
    return table
