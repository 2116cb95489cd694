"""The report on a run: sample from the model, explain some images, and put all of it on one page."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bayescope.evaluation.evaluate import Evaluation, decision_rows, rests_on
from bayescope.evaluation.report.contents import ReportContents, choose_cases
from bayescope.evaluation.report.explained import explain_images
from bayescope.evaluation.report.page import render
from bayescope.evaluation.selection import ChosenImages
from bayescope.runs.files import METRICS, read_lines
from bayescope.runs.folder import read_manifest
from bayescope.types import Floats

_SAMPLES = 8

Advance = Callable[[int], None]


def report_page(
    run: Path,
    found: Evaluation,
    chosen: ChosenImages,
    reference: dict[str, Floats] | None = None,
    sampled: Advance = lambda classes: None,
    explained: Callable[[int], Advance] = lambda total: lambda images: None,
) -> str:
    """One self-contained HTML page on what was ``found`` of a model on the ``chosen`` images.

    ``reference``: posteriors of other observers on the same images, by name; ``sampled`` hears of classes sampled, and
    ``explained`` of the number of images to explain, then of those explained.
    """
    model, images, predictions = found.model, found.images, found.predictions
    samples = model.sample(_SAMPLES)
    sampled(len(model.class_names))
    p_value = None if predictions.novelty is None else predictions.novelty.p_value
    cases = choose_cases(predictions.posterior, images.labels, p_value)
    decided = model.decide(predictions)
    contents = ReportContents(
        title=f"Bayescope on {chosen.data.source}",
        class_names=model.class_names,
        labels=images.labels,
        names=images.names,
        posterior=predictions.posterior,
        log_likelihood_ratio=predictions.log_likelihood_ratio,
        standard_error=predictions.standard_error,
        passes=predictions.mean_passes,
        measures=dict(found.measures),
        by_class={name: dict(rows) for name, rows in found.by_class.items()},
        prevalence=found.prevalence,
        positive=found.positive,
        pictures={i: model.scale.to_display(model.scale.to_model(images.pixels[i : i + 1]))[0] for i in cases.shown},
        samples=np.stack([model.scale.to_display(row) for row in samples]),
        curve=read_lines(run / METRICS),
        configuration=model.config.model_dump(),
        source=chosen.data.source,
        fingerprint=images.fingerprint(),
        notes=chosen.data.notes,
        split=chosen.name,
        trained_on=_trained_on(run),
        reference=reference or {},
        raw_log_likelihood_ratio=predictions.raw_log_likelihood_ratio if model.calibration.calibrated else None,
        p_value=p_value,
        explained=explain_images(model, images, predictions.class_prior, cases.explained, explained(len(cases.explained))),
        sets=() if decided is None else tuple(decided.in_words(model.class_names, i) for i in range(len(images))),
        decisions=tuple(decision_rows(found.decisions)),
        rests_on=rests_on(model) if model.calibration.calibrated else "",
        patients=images.groups,
        trust={
            name: {what: (row.measured, row.expected_if_calibrated) for what, row in rows.items()}
            for name, rows in found.trust.items()
        },
        warnings=tuple(filter(None, (*chosen.warnings, model.calibration.warning))),
    )
    return render(contents)


def _trained_on(run: Path) -> str:
    manifest = read_manifest(run)
    return f"{manifest['source']}, SHA-256 {manifest['fingerprint']}" if "fingerprint" in manifest else ""
