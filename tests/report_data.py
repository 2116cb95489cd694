"""An evaluation and the context of a report on it, made up: no model is trained for them."""

from dataclasses import replace
from types import MethodType, SimpleNamespace
from typing import Any, cast

import numpy as np

from bayescope.data.dataset import ImageSet
from bayescope.data.labelled import LabelledImages
from bayescope.evaluation.evaluate import Evaluation, Trust
from bayescope.evaluation.report.context import Context, choose_cases
from bayescope.evaluation.report.explained import Explained
from bayescope.evaluation.selection import ChosenImages
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.novelty import NoveltyResult
from bayescope.inference.post_hoc import PostHoc
from bayescope.inference.predictions import Predictions
from bayescope.metrics.bootstrap import Estimate

NAMES = ("<b>benign</b>", "malignant", "other")
SOURCE = "<i>trial</i>.npz"
MEASURES = ("AUC", "accuracy", "balanced accuracy", "log loss", "Brier score", "AURC")
BY_CLASS = ("AUC", "sensitivity", "specificity", "PPV", "NPV")


def evaluation(n_classes: int = 2, n: int = 60, calibrated: bool = False, **changes: Any) -> Evaluation:
    """Of ``n`` noise images; ``changes`` of the fields of its predictions."""
    rng, names = np.random.default_rng(0), NAMES[:n_classes]
    labels = np.arange(n) % n_classes
    evidence = rng.normal(0, 1, (n, n_classes))
    evidence[np.arange(n), labels] += 2
    posterior = np.exp(evidence) / np.exp(evidence).sum(axis=1, keepdims=True)
    ratio = np.log(posterior / (1 - posterior))
    pixels = rng.integers(0, 255, (n, 1, 8, 8), dtype=np.uint8)
    values: dict[str, Any] = {
        "evidence": evidence,
        "log_posterior": np.log(posterior),
        "log_likelihood_ratio": ratio,
        "standard_error": np.full((n, n_classes), 0.25),
        "posterior_error": np.full((n, n_classes), 0.1),
        "raw_log_likelihood_ratio": 3 * ratio,
        "class_prior": np.full(n_classes, 1 / n_classes),
        "passes": np.full(n, 40),
        "calibrated": calibrated,
    }
    return Evaluation(
        (_model(names, calibrated),),
        ImageSet(pixels, labels, names, tuple(f"case-{i}.png" for i in range(n))),
        Predictions(**values | changes),
        {name: Estimate(0.9 - i / 30, 0.85 - i / 30, 0.96 - i / 40) for i, name in enumerate(MEASURES)},
        {name: {what: Estimate(0.8 - k / 20, 0.7, 0.9) for what in BY_CLASS} for k, name in enumerate(names)},
        {},
        None,
    )


def context(found: Evaluation, split: str = "test", warnings: tuple[str, ...] = (), **changes: Any) -> Context:
    """Of a report on ``found``, without explanations; ``changes`` of its fields."""
    rng = np.random.default_rng(1)
    predictions, images = found.predictions, found.images
    data = LabelledImages(images, None, SOURCE, notes=("the file's own splits",))
    steps: dict[str, float | None] = {"denoising_loss": 1.0, "evidence_loss": None, "val_denoising_loss": 1.0}
    values: dict[str, Any] = {
        "chosen": ChosenImages(images, split, data, False, {}, warnings),
        "cases": choose_cases(predictions.posterior, images.labels, predictions.trust),
        "pictures": dict(enumerate(images.pixels[:, 0])),
        "samples": rng.integers(0, 255, (images.n_classes, 3, 8, 8), dtype=np.uint8),
        "curve": [{"step": step, **steps, "val_evidence_loss": 0.7} for step in (10, 20)],
    }
    return Context(**values | changes)


def everything() -> tuple[Evaluation, Context]:
    """With all that a report can show."""
    n, trust = 60, Trust(Estimate(0.31, 0.25, 0.4), Estimate(0.3, 0.2, 0.35))
    novelty = NoveltyResult(np.linspace(0, 1, n), np.zeros(n), np.zeros((n, 2)), 100)
    plain = evaluation(2, n, True, trust={"novelty": novelty})
    found = replace(
        plain,
        images=replace(plain.images, groups=tuple(f"p{i // 4}{i % 2}" for i in range(n))),
        trust={name: {"Cllr": trust, "ECE": trust} for name in plain.model.class_names},
        decisions={
            "miscoverage": 0.1,
            "risk": 0.05,
            "warning": "",
            "set coverage": {"malignant": 0.95},
            "classes in a set": 1.25,
            "answered": 0.875,
            "wrong among answered": 0.025,
        },
        positive="malignant",
    )
    winner = found.predictions.posterior.argmax(axis=1)
    shown = context(found, "all", ("few <images>",), trained_on="<i>mine</i>, SHA-256 12")
    return found, replace(
        shown,
        explained={i: _explained(int(winner[i])) for i in shown.cases.explained},
        sets=tuple(f"set of {i}" for i in range(n)),
        reference={"ideal observer": found.predictions.posterior},
    )


def _explained(winner: int) -> Explained:
    blank = np.zeros((8, 8), dtype=np.uint8)
    return Explained(winner, 0.987, np.ones((8, 8)), 64.0, 0.5, 1 - winner, blank, np.ones((8, 8)), "as in full")


def _model(names: tuple[str, ...], calibrated: bool) -> LikelihoodModel:
    warning = "uncalibrated <likelihood> ratios" if calibrated else ""
    calibration = SimpleNamespace(is_additive=True, calibrated=calibrated, images=(20, 30, 40)[: len(names)], warning=warning)
    config = SimpleNamespace(model_dump=lambda: {"seed": 7, "net": {"widths": (8, 8)}})
    post_hoc = PostHoc.unfitted(np.array([1.0, 2.0]), len(names))
    model = SimpleNamespace(class_names=names, calibration=calibration, config=config, post_hoc=post_hoc)
    model.by_class = MethodType(LikelihoodModel.by_class, model)
    return cast(LikelihoodModel, model)
