"""Figures are read back: who is called what, the curves, and which way round pictures and maps are."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report import overlay
from bayescope.evaluation.report.sections import discrimination
from report_data import context, evaluation

LABELS = np.array([0] * 5 + [1] * 3)
SAID = np.array([0.1, 0.2, 0.3, 0.4, 0.7, 0.2, 0.8, 0.9])
"""Probability of the second class: one of five images of the first is taken for it, one of its own three is missed."""


@pytest.fixture
def found() -> Evaluation:
    posterior = np.stack([1 - SAID, SAID], axis=1)
    ratio = np.log(posterior / (1 - posterior))
    plain = evaluation(2, 8, log_posterior=np.log(posterior), log_likelihood_ratio=ratio)
    return replace(plain, images=replace(plain.images, labels=LABELS), positive="malignant")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    figures: list[Figure] = []

    def keep(write: Callable[[Figure], Any]) -> Callable[[Figure], Any]:
        return lambda figure: figures.append(figure) or write(figure)

    monkeypatch.setattr(discrimination, "to_svg", keep(discrimination.to_svg))
    monkeypatch.setattr(overlay, "_png", keep(overlay._png))
    return figures


def test_true_classes_are_rows_and_called_classes_columns(found: Evaluation, drawn: list[Figure]) -> None:
    discrimination.confusion(found)
    (axes,) = drawn[0].axes
    texts = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "4\n80 %", (1, 0): "1\n20 %", (0, 1): "1\n33 %", (1, 1): "2\n67 %"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Called", "True class")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["<b>benign</b>", "malignant"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["<b>benign</b>", "malignant"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.8, 0.2], [1 / 3, 2 / 3]])
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_the_roc_curve_is_of_the_positive_class(found: Evaluation, drawn: list[Figure]) -> None:
    discrimination.roc(found, context(found))
    (axes,) = drawn[0].axes
    _, line = axes.lines
    false, true, _ = roc_curve(LABELS == 1, SAID)
    np.testing.assert_allclose(line.get_xydata(), np.stack([false, true], axis=1))
    below = (SAID[LABELS == 1][:, None] > SAID[LABELS == 0]).mean() + (
        SAID[LABELS == 1][:, None] == SAID[LABELS == 0]
    ).mean() / 2
    assert str(line.get_label()) == f"malignant: AUC {below:.3f}"


def test_reliability_is_shown_at_the_images_own_frequencies(found: Evaluation, drawn: list[Figure]) -> None:
    """Three of eight images are of the positive class: odds of 3 to 5 before the image."""
    discrimination.reliability(found)
    reported = drawn[0].axes[0].lines[-1]
    assert str(reported.get_label()).startswith("reported")
    predicted, observed = reported.get_xydata().T
    expected = np.unique(3 * SAID / (3 * SAID + 5 * (1 - SAID)))
    np.testing.assert_allclose(predicted, expected)
    np.testing.assert_allclose(observed, [(LABELS == 1)[p == SAID].mean() for p in np.unique(SAID)])


def test_the_band_of_reliability_is_that_of_the_ratios_reported(found: Evaluation, drawn: list[Figure]) -> None:
    raw = found.predictions.log_likelihood_ratio / 10
    calibrated = evaluation(2, 8, calibrated=True).models
    predictions = replace(found.predictions, raw_log_likelihood_ratio=raw)
    discrimination.reliability(replace(found, models=calibrated, predictions=predictions))
    before, reported = drawn[0].axes[0].lines[-2:]
    (band,) = drawn[0].axes[0].collections
    across = band.get_paths()[0].vertices[:, 0]
    assert (across.min(), across.max()) == pytest.approx((reported.get_xdata().min(), reported.get_xdata().max()))
    assert before.get_xdata().max() < reported.get_xdata().max()


def test_risk_is_of_the_surest_images_first(found: Evaluation, drawn: list[Figure]) -> None:
    discrimination.risk_coverage_curve(found, context(found))
    (line,) = drawn[0].axes[0].lines
    coverage, risk = line.get_xydata().T
    np.testing.assert_allclose(coverage, np.arange(1, 9) / 8)
    assert risk[:2].tolist() == [0, 0]
    assert risk[-1] == 2 / 8
    assert "AURC" in str(line.get_label())


def test_evidence_is_counted_by_true_class(found: Evaluation, drawn: list[Figure]) -> None:
    discrimination.evidence(found, 1)
    axes = drawn[0].axes[0]
    assert axes.get_legend_handles_labels()[1] == ["truly <b>benign</b>", "truly malignant"]
    for k, bars in enumerate(axes.containers):
        above = sum(bar.get_height() for bar in bars if bar.get_x() >= -1e-9)
        assert (above, sum(bar.get_height() for bar in bars)) == ((1, 5), (2, 3))[k]


def quarter() -> tuple[np.ndarray, np.ndarray]:
    """A picture bright at the top, and a map that speaks for the class at the top left and against it at the bottom right."""
    picture, evidence = np.zeros((8, 12), np.uint8), np.zeros((8, 12))
    picture[:4] = 250
    evidence[:4, :6], evidence[4:, 6:] = 1.0, -1.0
    return picture, evidence


def colours_of(axes: Any) -> np.ndarray:
    """Colours of the picture in ``axes``, as seen: rows from the top down."""
    (image,) = axes.images
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert axes.get_xlim()[0] < axes.get_xlim()[1]
    return np.asarray(image.cmap(image.norm(image.get_array())))[..., :3]


def check_map(colours: np.ndarray, sign: int = 1) -> None:
    redness = sign * (colours[..., 0] - colours[..., 2])
    assert (redness[:4, :6] > 0.2).all()
    assert (redness[4:, 6:] < -0.2).all()
    assert np.abs(redness[:4, 6:]).max() < 0.02


def test_pictures_and_maps_are_the_right_way_round(drawn: list[Figure]) -> None:
    picture, evidence = quarter()
    overlay.overlay(picture, evidence, "title", "bans")
    overlay.scales({"fine": evidence, "coarse": -evidence}, "title")
    overlay.comparison({"before": picture, "after": 250 - picture}, evidence, "title")
    plain, mapped, outlined, _ = drawn[0].axes
    for axes in (plain, outlined):
        assert colours_of(axes)[:, :, 0] == pytest.approx(picture / 255, abs=0.01)
    check_map(colours_of(mapped))
    outline, colour = outlined.collections[0], [tuple(row[:3]) for row in outlined.collections[0].get_edgecolor()]
    against, speaks_for = outline.get_paths()
    assert colour[0][2] > colour[0][0]
    assert colour[1][0] > colour[1][2]
    assert speaks_for.vertices.mean(axis=0).max() < against.vertices.mean(axis=0).min()
    fine, coarse, _ = drawn[1].axes
    assert (fine.get_title(), coarse.get_title()) == ("fine: +0.00 nats", "coarse: +0.00 nats")
    check_map(colours_of(fine))
    check_map(colours_of(coarse), sign=-1)
    before, after, change, _ = drawn[2].axes
    assert (colours_of(before)[0, 0, 0], colours_of(after)[0, 0, 0]) == pytest.approx((250 / 255, 0), abs=0.01)
    check_map(colours_of(change))
