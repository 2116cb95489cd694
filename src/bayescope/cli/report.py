"""``bayescope report``."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bayescope.answers import Answers
from bayescope.checkpoint import METRICS, load_model, read_lines, write_atomically
from bayescope.cli.evaluate import LabelledSplit, answer, decision_rows, decisions, labelled_split, rests_on, trust
from bayescope.cli.options import Device
from bayescope.cli.output import say, warn
from bayescope.cli.progress import bar
from bayescope.errors import RunError
from bayescope.metrics import measure
from bayescope.model import LikelihoodModel
from bayescope.run_folder import REPORT, read_manifest
from bayescope.shapes import Floats

NAME = "report"
_SAMPLES = 8


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    data: Annotated[Path | None, typer.Option(help="Labelled image set to report on (default: the one trained on).")] = None,
    out: Annotated[Path | None, typer.Option(help="HTML file to write (default: report.html in the run folder).")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    device: Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing report.")] = False,
) -> None:
    """Write a self-contained HTML report.

    Example: bayescope report runs/breast
    """
    target = out or run / REPORT
    if target.exists() and not force:
        raise RunError(f"{target}: exists already; give --force to replace it, or another --out")
    model = load_model(run, device)
    shown = labelled_split(model, data or _training_data(run), split)
    write(run, model, shown, answer(model, shown.images, test_novelty=True), target)
    say(f"Report: {target}")


def _training_data(run: Path) -> Path:
    manifest = read_manifest(run)
    if "path" not in manifest:
        source = manifest.get("source", "of unknown source")
        raise RunError(f"{run}: does not say where its data ({source}) lie; expected a run of `bayescope train`. Give --data")
    return Path(manifest["path"])


def _trained_on(run: Path) -> str:
    manifest = read_manifest(run)
    return f"{manifest['source']}, SHA-256 {manifest['fingerprint']}" if "fingerprint" in manifest else ""


def write(
    run: Path,
    model: LikelihoodModel,
    shown: LabelledSplit,
    answers: Answers,
    target: Path,
    reference: dict[str, Floats] | None = None,
) -> None:
    """Sample from the model and write the page on its ``answers`` to the images ``shown``."""
    from bayescope.report.contents import ReportContents, choose_cases
    from bayescope.report.explained import explain_images
    from bayescope.report.page import render

    images = shown.images
    with bar("sampling", len(model.class_names)) as advance:
        samples = model.sample(_SAMPLES)
        advance(len(model.class_names))
    p_value = None if answers.novelty is None else answers.novelty.p_value
    cases = choose_cases(answers.posterior, images.labels, p_value)
    with bar("explaining", len(cases.explained)) as advance:
        explained = explain_images(model, images, answers.class_prior, cases.explained, advance)
    decided = model.decide(answers)
    contents = ReportContents(
        title=f"Bayescope on {shown.data.source}",
        class_names=model.class_names,
        labels=images.labels,
        names=images.names,
        posterior=answers.posterior,
        log_likelihood_ratio=answers.log_likelihood_ratio,
        standard_error=answers.standard_error,
        passes=answers.mean_passes,
        measures=measure(answers.posterior, images.labels, images.groups),
        pictures={i: model.scale.to_display(model.scale.to_model(images.pixels[i : i + 1]))[0] for i in cases.shown},
        samples=np.stack([model.scale.to_display(row) for row in samples]),
        curve=read_lines(run / METRICS),
        configuration=model.config.model_dump(),
        source=shown.data.source,
        fingerprint=shown.data.fingerprint,
        notes=shown.data.notes,
        split=shown.name,
        trained_on=_trained_on(run),
        reference=reference or {},
        raw_log_likelihood_ratio=answers.raw_log_likelihood_ratio if model.calibration.calibrated else None,
        p_value=p_value,
        explained=explained,
        sets=() if decided is None else tuple(decided.in_words(model.class_names, i) for i in range(len(images))),
        decisions=tuple(decision_rows(decisions(model, answers, images))),
        rests_on=rests_on(model) if model.calibration.calibrated else "",
        patients=images.groups,
        trust={
            name: {what: (row.measured, row.expected_if_calibrated) for what, row in rows.items()}
            for name, rows in trust(model, answers, images).items()
        },
        warning=model.calibration.warning,
    )
    warn(model.calibration.warning)
    write_atomically(target, render(contents).encode())
