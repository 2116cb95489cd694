"""``bayescope report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from bayescope.cli.evaluate import LabelledSplit, answer, decision_rows, decisions, labelled_split, rests_on, trust
from bayescope.cli.options import Device
from bayescope.cli.output import check_free, say, warn
from bayescope.cli.progress import bar
from bayescope.errors import ConfigError, RunError

if TYPE_CHECKING:
    from bayescope.answers import Answers
    from bayescope.data.images import Dataset
    from bayescope.model import LikelihoodModel
    from bayescope.shapes import Floats

NAME = "report"
_SAMPLES = 8


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    data: Annotated[
        Path | None, typer.Option(help="Labelled image set to report on (default: the one trained on, a demo's drawn again).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="HTML file to write (default: report.html in the run folder).")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    device: Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing report.")] = False,
) -> None:
    """Write a self-contained HTML report.

    Example: bayescope report runs/breast
    """
    from bayescope.checkpoint import load_model
    from bayescope.run_folder import REPORT

    target = out or run / REPORT
    check_free(target, force)
    model = load_model(run, device)
    drawn = None if data else _drawn_again(run, model.config.seed)
    shown = _demo_split(drawn, split) if drawn else labelled_split(model, data or _training_data(run), split)
    reference = _ideal_observer(shown) if drawn else None
    write(run, model, shown, answer(model, shown.images, test_novelty=True), target, reference)
    say(f"Report: {target}")


def _drawn_again(run: Path, seed: int) -> Dataset | None:
    """The images of a run of `bayescope demo`, which lie nowhere; None for any other run."""
    from bayescope.demo import SOURCE, demo_dataset
    from bayescope.run_folder import read_manifest

    manifest = read_manifest(run)
    if "path" in manifest or manifest.get("source") != SOURCE:
        return None
    drawn = demo_dataset(seed)
    return drawn if drawn.fingerprint == manifest.get("fingerprint") else None


def _demo_split(drawn: Dataset, name: str) -> LabelledSplit:
    from bayescope.data.cases import SPLITS

    if name not in SPLITS:
        raise ConfigError(f"split {name!r}; expected train, val or test")
    return LabelledSplit(getattr(drawn, name), name, drawn)


def _ideal_observer(shown: LabelledSplit) -> dict[str, Floats]:
    from bayescope.data.phantom import Phantom
    from bayescope.demo import IdealObserver

    return {"ideal observer": IdealObserver(Phantom()).posterior(shown.images)}


def _training_data(run: Path) -> Path:
    from bayescope.run_folder import read_manifest

    manifest = read_manifest(run)
    if "path" not in manifest:
        source = manifest.get("source", "of unknown source")
        raise RunError(f"{run}: does not say where its data ({source}) lie; expected a run of `bayescope train`. Give --data")
    return Path(manifest["path"])


def _trained_on(run: Path) -> str:
    from bayescope.run_folder import read_manifest

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
    from bayescope.checkpoint import METRICS, read_lines, write_text
    from bayescope.metrics import measure
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
    write_text(target, render(contents))
