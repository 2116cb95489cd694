"""The report stands alone, shows its numbers and escapes what users name."""

import dataclasses
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from bayescope.evaluation.report.contents import ReportContents, choose_cases
from bayescope.evaluation.report.explained import Explained
from bayescope.evaluation.report.overlay import comparison, overlay, scales, tinted
from bayescope.evaluation.report.page import render
from bayescope.metrics.classification import measure, measure_classes

NAMES = ("<b>benign</b>", "malignant", "other")


def contents(n_classes: int = 2, n: int = 60) -> ReportContents:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % n_classes
    evidence = rng.normal(0, 1, (n, n_classes))
    evidence[np.arange(n), labels] += 2
    posterior = np.exp(evidence) / np.exp(evidence).sum(axis=1, keepdims=True)
    return ReportContents(
        title="Bayescope on <i>trial</i>",
        class_names=NAMES[:n_classes],
        labels=labels,
        names=tuple(f"case-{i}.png" for i in range(n)),
        posterior=posterior,
        log_likelihood_ratio=np.log(posterior / (1 - posterior)),
        standard_error=np.full((n, n_classes), 0.25),
        passes=40,
        measures=measure(posterior, labels, n_bootstrap=50),
        by_class=measure_classes(posterior, labels, NAMES[:n_classes], np.full(n_classes, 1 / n_classes), n_bootstrap=50),
        prevalence=dict.fromkeys(NAMES[:n_classes], 1 / n_classes),
        pictures=dict(enumerate(rng.integers(0, 255, (n, 8, 8), dtype=np.uint8))),
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


@pytest.mark.parametrize(("split", "words"), [("train", "training"), ("val", "validation"), ("test", "test")])
def test_the_page_says_which_images_it_shows(split: str, words: str) -> None:
    page = render(dataclasses.replace(contents(), split=split, trained_on="<i>mine</i>, SHA-256 12"))
    assert f"60 {words} images of trial.npz" in page
    assert "Trained on &lt;i&gt;mine&lt;/i&gt;, SHA-256 12" in page
    assert "Trained on" not in render(contents())


def test_no_mistake_and_an_absent_class_still_make_a_page() -> None:
    plain = contents()
    labels = np.zeros_like(plain.labels)
    sure = np.tile([0.9, 0.1], (len(labels), 1))
    page = render(dataclasses.replace(plain, labels=labels, posterior=sure, measures=measure(sure, labels, n_bootstrap=10)))
    assert "No image was misclassified" in page


def test_cases_and_their_maps_are_shown_and_the_slider_knows_every_image() -> None:
    plain = contents()
    p_value = np.linspace(0, 1, 60)
    chosen = choose_cases(plain.posterior, plain.labels, p_value)
    assert chosen.novel == [0, 1, 2]
    confidence = plain.posterior.max(axis=1)
    assert (plain.posterior[chosen.surest].argmax(axis=1) == plain.labels[chosen.surest]).all()
    assert (plain.posterior[chosen.mistaken].argmax(axis=1) != plain.labels[chosen.mistaken]).all()
    assert confidence[chosen.surest[0]] == confidence.max(where=plain.posterior.argmax(axis=1) == plain.labels, initial=0)
    assert confidence[chosen.unsure[0]] == confidence.min()
    winner = plain.posterior.argmax(axis=1)
    explained = {
        i: Explained(
            int(winner[i]),
            0.987,
            np.ones((8, 8)),
            64.0,
            0.5,
            1 - int(winner[i]),
            np.zeros((8, 8), dtype=np.uint8),
            np.ones((8, 8)),
            "as in full",
        )
        for i in chosen.explained
    }
    full = dataclasses.replace(
        plain,
        p_value=p_value,
        explained=explained,
        sets=tuple(f"set of {i}" for i in range(60)),
        decisions=(("classes in a set", "", "1.25"),),
        rests_on="20 benign, 30 malignant",
        raw_log_likelihood_ratio=3 * plain.log_likelihood_ratio,
        trust={"malignant": {"Cllr": (plain.measures["AUC"], plain.measures["log loss"])}},
        warnings=("uncalibrated <likelihood> ratios",),
    )
    page = render(full)
    mapped = len(chosen.surest + chosen.mistaken + chosen.novel)
    assert page.count("evidence in case-") == mapped
    assert page.count(" as &lt;b&gt;benign&lt;/b&gt;") + page.count(" as malignant") == mapped
    also_unsure = len(set(chosen.unsure) & set(chosen.explained))
    assert page.count("LLR +64.00 ± 0.50") == mapped + also_unsure
    assert page.count("98.7 %") == mapped + also_unsure
    for text in ("classes in a set", "1.25", "set: as in full", "rest on validation images: 20 benign"):
        assert text in page
    assert "before calibration" in page
    assert "uncalibrated &lt;likelihood&gt; ratios" in page
    assert 'type="range"' in page
    ratios = np.array(json.loads(re.findall(r'"ratios": (\[\[.*?\]\])', page)[0]))
    np.testing.assert_allclose(ratios, plain.log_likelihood_ratio.T, atol=6e-4)
    assert "before calibration" not in render(plain)


def test_colours_diverge_from_zero() -> None:
    grayscale = np.full((6, 9), 128, dtype=np.uint8)
    evidence = np.zeros((6, 9))
    evidence[0], evidence[5] = 0.5, -4.0
    found = tinted(grayscale, evidence).astype(int)
    assert (found[0, :, 0] > found[0, :, 2]).all()
    assert (found[5, :, 2] > found[5, :, 0]).all()
    assert (found[2] == 128).all()
    assert (tinted(grayscale, np.zeros((6, 9))) == 128).all()


@pytest.mark.parametrize("colour", [(), (3,)])
@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e5])
def test_overlays_are_pictures_whatever_the_map(colour: tuple[int, ...], scale: float) -> None:
    rng = np.random.default_rng(0)
    picture, evidence = rng.integers(0, 255, (20, 30, *colour), dtype=np.uint8), scale * rng.normal(size=(20, 30))
    drawn = (
        overlay(picture, evidence, "title", "bans"),
        comparison({"a": picture, "b": picture}, evidence, "title"),
        scales({"fine": evidence, "coarse": -evidence}, "title"),
    )
    for content in drawn:
        assert Image.open(io.BytesIO(content)).size[0] > 800
