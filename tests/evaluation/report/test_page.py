"""The report stands alone, shows its numbers and escapes what users name."""

import dataclasses
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from bayescope import __version__
from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report.context import Context, choose_cases
from bayescope.evaluation.report.html import fragment
from bayescope.evaluation.report.overlay import comparison, overlay, scales, tinted
from bayescope.evaluation.report.page import render
from bayescope.evaluation.report.sections import SECTIONS
from bayescope.metrics.classification import measure
from report_data import context, evaluation, everything

KEPT = Path(__file__).parent / "data" / "page.html"


def page_of(found: Evaluation, split: str = "test", **changes: object) -> str:
    return render(found, context(found, split, **changes))


@pytest.fixture(scope="module")
def plain() -> str:
    """The page of an evaluation with nothing besides."""
    return page_of(evaluation())


@pytest.fixture(scope="module")
def page_with_everything() -> str:
    return render(*everything())


def without_figures(page: str) -> str:
    """One element a line, without pictures, versions and fingerprints."""
    page = re.sub(r"<svg.*?</svg>", "<svg>", page, flags=re.DOTALL)
    page = re.sub(r"data:image/png;base64,[^\"]*", "png", page).replace(f"Bayescope {__version__}", "Bayescope")
    page = re.sub(r"[0-9a-f]{64}", "SHA-256", page)
    return re.sub(r" ?(<[^>]*>) ?", r"\n\1", " ".join(page.split())).strip() + "\n"


def test_the_page_with_everything_is_the_one_kept(page_with_everything: str) -> None:
    """``data/page.html``, but for white space and figures; write it anew after a change that is wanted."""
    assert without_figures(page_with_everything) == KEPT.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_section_added_from_outside_stands_in_its_place(plain: str) -> None:
    def brightness(found: Evaluation, context: Context) -> str:
        values = {"source": context.chosen.data.source, "mean": found.images.pixels.mean()}
        return fragment("<section>{{ source }}: mean {{ mean | fixed(1) }}</section>", **values)

    found = evaluation()
    page = render(found, context(found), [*SECTIONS[:3], brightness, *SECTIONS[3:], lambda found, context: None])
    own = f"<section>&lt;i&gt;trial&lt;/i&gt;.npz: mean {found.images.pixels.mean():.1f}</section>"
    assert without_figures(page.replace(own, "")) == without_figures(plain)
    assert page.index("How well") < page.index(own) < page.index("All measures")


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 3])
def test_page_is_self_contained_and_escaped(n_classes: int, plain: str) -> None:
    found = evaluation(n_classes)
    page = plain if n_classes == 2 else page_of(found)
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page)
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "<b>benign</b>" not in page
    assert "<i>trial</i>" not in page
    for text in ("&lt;b&gt;benign", "Surest mistakes", "Least sure", "net.widths", "40 network passes"):
        assert text in page
    assert found.images.fingerprint() in page
    assert f"{found.measures['AUC'].value:.3f}" in page


@pytest.mark.slow
def test_an_area_of_1_has_a_dash_for_its_interval() -> None:
    found = evaluation()
    labels = found.images.labels
    page = page_of(dataclasses.replace(found, measures=measure(np.eye(2)[labels], labels, n_bootstrap=5)))
    assert "<td>AUC</td><td>1.0000</td><td>–</td>" in page
    assert "nan to" not in page


@pytest.mark.slow
def test_reference_observer_is_shown_beside(plain: str) -> None:
    found = evaluation()
    assert "ideal observer" in page_of(found, reference={"ideal observer": found.predictions.posterior})
    assert "ideal observer" not in plain


@pytest.mark.slow
@pytest.mark.parametrize(("split", "words"), [("train", "training"), ("val", "validation"), ("test", "test")])
def test_the_page_says_which_images_it_shows(split: str, words: str, plain: str) -> None:
    page = page_of(evaluation(), split, trained_on="<i>mine</i>, SHA-256 12")
    assert f"60 {words} images of &lt;i&gt;trial&lt;/i&gt;.npz" in page
    assert "Trained on &lt;i&gt;mine&lt;/i&gt;, SHA-256 12" in page
    assert "Trained on" not in plain


@pytest.mark.slow
def test_no_mistake_and_an_absent_class_still_make_a_page() -> None:
    sure = np.log(np.tile([0.9, 0.1], (60, 1)))
    found = evaluation(log_posterior=sure)
    found = dataclasses.replace(found, images=dataclasses.replace(found.images, labels=np.zeros(60, dtype=np.int64)))
    assert "No image was misclassified" in page_of(found)


@pytest.mark.slow
def test_cases_and_their_maps_are_shown_and_the_slider_knows_every_image(plain: str, page_with_everything: str) -> None:
    found, shown = everything()
    posterior, labels, chosen = found.predictions.posterior, found.images.labels, shown.cases
    assert found.predictions.novelty
    assert chosen == choose_cases(posterior, labels, found.predictions.trust)
    assert chosen.suspicious == {"novelty": [0, 1, 2]}
    confidence = posterior.max(axis=1)
    assert (posterior[chosen.surest].argmax(axis=1) == labels[chosen.surest]).all()
    assert (posterior[chosen.mistaken].argmax(axis=1) != labels[chosen.mistaken]).all()
    assert confidence[chosen.surest[0]] == confidence.max(where=posterior.argmax(axis=1) == labels, initial=0)
    assert confidence[chosen.unsure[0]] == confidence.min()
    page = page_with_everything
    mapped = len(chosen.surest + chosen.mistaken + chosen.suspicious["novelty"])
    assert page.count("evidence in case-") == mapped
    assert page.count(" as &lt;b&gt;benign&lt;/b&gt;") + page.count(" as malignant") == mapped
    also_unsure = len(set(chosen.unsure) & set(chosen.explained))
    assert page.count("LLR +64.00 ± 0.50") == mapped + also_unsure
    assert page.count("98.7 %") == mapped + also_unsure
    for text in ("classes in a set", "1.25", "set: as in full", "calibrated on validation images: 20 &lt;b&gt;benign"):
        assert text in page
    assert "before calibration" in page
    assert "uncalibrated &lt;likelihood&gt; ratios" in page
    assert 'type="range"' in page
    ratios = np.array(json.loads(re.findall(r'"ratios": (\[\[.*?\]\])', page)[0]))
    np.testing.assert_allclose(ratios, found.predictions.log_likelihood_ratio.T, atol=6e-4)
    assert "before calibration" not in plain


def test_colours_diverge_from_zero() -> None:
    grayscale = np.full((6, 9), 128, dtype=np.uint8)
    evidence = np.zeros((6, 9))
    evidence[0], evidence[5] = 0.5, -4.0
    found = tinted(grayscale, evidence).astype(int)
    assert (found[0, :, 0] > found[0, :, 2]).all()
    assert (found[5, :, 2] > found[5, :, 0]).all()
    assert (found[2] == 128).all()
    assert (tinted(grayscale, np.zeros((6, 9))) == 128).all()


def middle(pixels: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    """Median column and row of the pixels of that colour in a decoded picture."""
    rows, columns = np.nonzero((np.abs(pixels - np.array(colour)) <= 3).all(axis=2))
    assert len(rows) > 1000, f"{colour} is hardly to be seen"
    return np.array([np.median(columns), np.median(rows)])


def check_quarters(pixels: np.ndarray, top_left: tuple[int, ...], bottom_right: tuple[int, ...]) -> None:
    across, down = middle(pixels, bottom_right) - middle(pixels, top_left)
    assert across > 60
    assert down > 60


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "scale"), [((), 1e-9), ((3,), 1e5)], ids=["gray", "colour"])
def test_pictures_and_maps_are_drawn_the_right_way_round(channels: tuple[int, ...], scale: float) -> None:
    """Decoded again: a picture dark at the top left and bright at the bottom right, a map red there and blue here."""
    picture, evidence = np.full((20, 30, *channels), 128, np.uint8), np.zeros((20, 30))
    picture[:10, :15], picture[10:, 15:] = 40, 220
    evidence[:10, :15], evidence[10:, 15:] = scale, -scale
    red, _, blue = ((np.array(colormaps["RdBu_r"](x)[:3]) * 255).round().astype(int) for x in (1.0, 0.5, 0.0))
    drawn = {
        "overlay": overlay(picture, evidence, "title", "bans"),
        "comparison": comparison({"a": picture, "b": 255 - picture}, evidence, "title"),
        "scales": scales({"fine": evidence, "coarse": -evidence}, "title"),
    }
    read = {name: np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int) for name, content in drawn.items()}
    half = read["scales"].shape[1] * 45 // 100
    for name in ("overlay", "comparison"):
        check_quarters(read[name][:, : read[name].shape[1] // 3], (40, 40, 40), (220, 220, 220))
        check_quarters(read[name], tuple(red), tuple(blue))
    check_quarters(read["scales"][:, :half], tuple(red), tuple(blue))
    check_quarters(read["scales"][:, half:], tuple(blue), tuple(red))


def test_a_map_of_nothing_is_drawn_without_colour() -> None:
    picture = np.full((20, 30), 128, np.uint8)
    for content in (overlay(picture, np.zeros((20, 30)), "title", "bans"), scales({"a": np.zeros((20, 30))}, "title")):
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
        coloured = np.abs(pixels[..., 0] - pixels[..., 2]) > 40
        assert 0 < coloured.mean() < 0.03, "the bar alone is coloured"
