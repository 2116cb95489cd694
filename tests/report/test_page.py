"""The report stands alone, shows its numbers and escapes what users name."""

import dataclasses
import re

import numpy as np
import pytest

from bayescope.metrics import measure
from bayescope.report.contents import ReportContents
from bayescope.report.page import render


def contents(n_classes: int = 2, n: int = 60) -> ReportContents:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % n_classes
    evidence = rng.normal(0, 1, (n, n_classes))
    evidence[np.arange(n), labels] += 2
    posterior = np.exp(evidence) / np.exp(evidence).sum(axis=1, keepdims=True)
    return ReportContents(
        title="Bayescope on <i>trial</i>",
        class_names=("<b>benign</b>", "malignant", "other")[:n_classes],
        labels=labels,
        names=tuple(f"case-{i}.png" for i in range(n)),
        posterior=posterior,
        log_likelihood_ratio=np.log(posterior / (1 - posterior)),
        standard_error=np.full((n, n_classes), 0.25),
        passes=40,
        measures=measure(posterior, labels, n_bootstrap=50),
        pictures=rng.integers(0, 255, (n, 8, 8), dtype=np.uint8),
        samples=rng.integers(0, 255, (n_classes, 3, 8, 8), dtype=np.uint8),
        curve=[
            {"step": s, "denoising_loss": 1.0, "evidence_loss": None, "val_denoising_loss": 1.0, "val_evidence_loss": 0.7}
            for s in (10, 20)
        ],
        configuration={"seed": 7, "net": {"widths": (8, 8)}},
        source="trial.npz",
        fingerprint="f" * 64,
        notes=("the file's own splits",),
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_page_is_self_contained_and_escaped(n_classes: int) -> None:
    page = render(contents(n_classes))
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page)
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "<b>benign</b>" not in page
    assert "<i>trial</i>" not in page
    for text in ("&lt;b&gt;benign", "Surest mistakes", "Least sure", "net.widths", "f" * 64, "40 network passes"):
        assert text in page
    assert f"{contents(n_classes).measures['AUC'].value:.3f}" in page


def test_reference_observer_is_shown_beside() -> None:
    plain = contents()
    page = render(dataclasses.replace(plain, reference={"ideal observer": plain.posterior}))
    assert "ideal observer" in page


def test_no_mistake_and_an_absent_class_still_make_a_page() -> None:
    plain = contents()
    labels = np.zeros_like(plain.labels)
    sure = np.tile([0.9, 0.1], (len(labels), 1))
    page = render(dataclasses.replace(plain, labels=labels, posterior=sure, measures=measure(sure, labels, n_bootstrap=10)))
    assert "No image was misclassified" in page
