"""``bayescope report``."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bayescope.answers import Answers
from bayescope.checkpoint import MANIFEST, METRICS, load_model, read_json, read_lines, write_atomically
from bayescope.cli.evaluate import answer, labelled_split, trust
from bayescope.cli.explain import evidence_map
from bayescope.cli.progress import bar, console, warn
from bayescope.data.images import ImageSet
from bayescope.errors import RunError
from bayescope.metrics import measure
from bayescope.model import LikelihoodModel
from bayescope.shapes import Floats

NAME = "report"
_SAMPLES = 8


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of `bayescope train`.")],
    data: Annotated[Path | None, typer.Option(help="Labelled image set to report on (default: the one trained on).")] = None,
    out: Annotated[Path | None, typer.Option(help="HTML file to write (default: report.html in the run folder).")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing report.")] = False,
) -> None:
    """Write a self-contained HTML report.

    Example: bayescope report runs/breast
    """
    target = out or run / "report.html"
    if target.exists() and not force:
        raise RunError(f"{target}: exists already; give --force to replace it, or another --out")
    model = load_model(run)
    images = labelled_split(model, data or _trained_on(run), split)
    write(run, model, images, answer(model, images, test_novelty=True), target)
    console.print(f"Report: {target}")


def _trained_on(run: Path) -> Path:
    manifest = read_json(run / MANIFEST)
    if "path" not in manifest:
        raise RunError(f"{run}: does not say where its data ({manifest['source']}) lies; give --data")
    return Path(manifest["path"])


def write(
    run: Path,
    model: LikelihoodModel,
    images: ImageSet,
    answers: Answers,
    target: Path,
    reference: dict[str, Floats] | None = None,
) -> None:
    """Sample from the model and write the page."""
    from bayescope.report.contents import ReportContents, choose_cases
    from bayescope.report.page import render

    manifest = read_json(run / MANIFEST)
    with bar("sampling", len(model.class_names)) as advance:
        samples = model.sample(_SAMPLES)
        advance(len(model.class_names))
    p_value = None if answers.novelty is None else answers.novelty.p_value
    explained = choose_cases(answers.posterior, images.labels, p_value).explained
    contents = ReportContents(
        title=f"Bayescope on {manifest['source']}",
        class_names=model.class_names,
        labels=images.labels,
        names=images.names,
        posterior=answers.posterior,
        log_likelihood_ratio=answers.log_likelihood_ratio,
        standard_error=answers.standard_error,
        passes=answers.mean_passes,
        measures=measure(answers.posterior, images.labels),
        pictures=model.scale.to_display(model.scale.to_model(images.pixels)),
        samples=np.stack([model.scale.to_display(row) for row in samples]),
        curve=read_lines(run / METRICS),
        configuration=model.config.model_dump(),
        source=manifest["source"],
        fingerprint=manifest["fingerprint"],
        notes=tuple(manifest["notes"]),
        reference=reference or {},
        raw_log_likelihood_ratio=answers.raw_log_likelihood_ratio if model.calibration.calibrated else None,
        p_value=p_value,
        maps=_maps(model, images, answers, explained),
        trust={
            name: {what: (row.measured, row.expected_if_calibrated) for what, row in rows.items()}
            for name, rows in trust(model, answers, images).items()
        },
        warning=model.calibration.warning,
    )
    warn(model.calibration.warning)
    write_atomically(target, render(contents).encode())


def _maps(model: LikelihoodModel, images: ImageSet, answers: Answers, chosen: list[int]) -> dict[int, Floats]:
    maps = {}
    with bar("mapping evidence", len(chosen)) as advance:
        for i in chosen:
            winner = int(answers.posterior[i].argmax())
            maps[i] = evidence_map(model, images.pixels[i : i + 1], answers, winner, image=i).total[0]
            advance(1)
    return maps
