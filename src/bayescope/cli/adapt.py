"""``bayescope adapt``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bayescope.cli.options import Device, NormaliseLabels, Resize, Strict, report_warnings
from bayescope.cli.output import add_row, new_table, print_json, say, show
from bayescope.cli.progress import stages

NAME = "adapt"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    data: Annotated[Path, typer.Argument(help="Labelled images of the site, 40 or more, of the run's classes.")],
    out: Annotated[Path, typer.Option(help="Folder of the adapted run to write.")],
    split: Annotated[
        str,
        typer.Option(help="Images of DATA to adapt to: all that the run was not trained or validated on; test, val or train."),
    ] = "all",
    normalise_labels: NormaliseLabels = False,
    strict: Strict = False,
    resize: Resize = False,
    device: Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace the run in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Adapt a run to a site: fit calibration, level weights, novelty test and decisions on local labelled images.

    The network stays. Five folds of the local images show whether it helps.

    Example: bayescope adapt runs/chest local.csv --out runs/chest-here
    """
    from bayescope.evaluation.adaptation import PAGE, adapt_run

    with stages() as progress:
        found = adapt_run(
            run,
            data,
            out,
            split=split,
            normalise_labels=normalise_labels,
            resize=resize,
            device=device,
            force=force,
            warned=partial(report_warnings, strict=strict),
            progress=progress,
        )
    if as_json:
        print_json(found.to_dict())
        return
    table = new_table("measure", "before (95 % interval)", "after, on folds", title=f"{len(found.before.images)} local images")
    for name, estimate in found.before.measures.items():
        add_row(table, name, str(estimate), str(found.after.measures[name]))
    for name, rows in found.before.trust.items():
        for what, row in rows.items():
            add_row(table, f"{what}, {name}", str(row.measured), str(found.after.trust[name][what].measured))
    show(table)
    if found.share_novel is not None:
        say(f"Novel at the 5 % level before: {found.share_novel:.0%} of the images")
    say(f"Adapting {found.verdict}: log loss changes by {found.difference}")
    say(f"Page: {out / PAGE}")
