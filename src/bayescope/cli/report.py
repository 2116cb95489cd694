"""``bayescope report``."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bayescope.cli.options import Device, NormaliseLabels, Positive, Prevalence, Strict, prior_from_text, report_warnings
from bayescope.cli.output import check_free, say, warn
from bayescope.cli.progress import stages

NAME = "report"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    data: Annotated[
        Path | None, typer.Option(help="Labelled image set to report on (default: the one trained on, a demo's drawn again).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="HTML file to write (default: report.html in the run folder).")] = None,
    split: Annotated[str, typer.Option(help="auto, all, test, val or train, as of `bayescope evaluate`.")] = "auto",
    positive: Positive = None,
    prevalence: Prevalence = None,
    normalise_labels: NormaliseLabels = False,
    strict: Strict = False,
    device: Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing report.")] = False,
) -> None:
    """Write a self-contained HTML report.

    Example: bayescope report runs/breast --positive malignant
    """
    from bayescope.evaluation.report.build import write_report
    from bayescope.runs.files import REPORT
    from bayescope.runs.model_file import read_class_names

    target = out or run / REPORT
    check_free(target, force)
    prior = prior_from_text(prevalence, read_class_names(run)) if prevalence is not None else None
    with stages() as progress:
        found = write_report(
            run,
            target,
            data=data,
            split=split,
            positive=positive,
            class_prior=prior,
            normalise_labels=normalise_labels,
            device=device,
            warned=partial(report_warnings, strict=strict),
            progress=progress,
        )
    warn(found.model.calibration.warning)
    say(f"Report: {target}")
