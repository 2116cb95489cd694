"""The page in a real browser: each thing a reader does, with the mouse or the keyboard alone.

Screenshots are kept in the folder named by BAYESCOPE_SCREENSHOTS, if it is set.
"""

import base64
import csv
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Download, Locator, Page, Route, expect, sync_playwright
from pydicom import dcmread

from bayescope.calibration.affine import BiasCorrectedTemperatureScaling
from bayescope.calibration.pooling import GroupPooling
from bayescope.data.dataset import Dataset
from bayescope.dicom import to_bytes
from bayescope.inference.combine import combine
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import predict_from_evidence
from bayescope.service.settings import ServiceSettings
from dicom_sources import SOURCES, written
from mammograms import mammogram, write_mammogram
from services import program
from serving import listening

TOKEN = "0123456789abcdef"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = program("chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def url(tiny_run: Path) -> Iterator[str]:
    with listening(tiny_run) as found:
        yield found


@pytest.fixture(scope="module")
def dicom_url(prepared_run: Path) -> Iterator[str]:
    with listening(prepared_run) as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new page, on whose console nothing may be said, and which asks nobody but the service."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    context.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    found, said, asked = context.new_page(), list[str](), set[str]()
    found.on("console", lambda message: said.append(message.text))
    found.on("filechooser", lambda chooser: None)  # from now on: a key may open one before a listener is in place
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on("request", lambda request: asked.add(re.sub(r"^(blob:)?(\w+:(//127\.0\.0\.1)?).*", r"\2", request.url)))
    yield found
    context.close()
    assert [text for text in said if "401" not in text] == []
    assert asked <= {"http://127.0.0.1", "data:"}


@pytest.fixture
def folder(pictures: list[bytes], tmp_path: Path) -> Path:
    """Two images each of two patients, a file that is no image, and one that is left alone."""
    folder = tmp_path / "study"
    folder.mkdir()
    for i, name in enumerate(("P1_left.png", "P1_right.png", "P2_left.png", "P2_right.png")):
        (folder / name).write_bytes(pictures[i])
    (folder / "broken.png").write_bytes(b"no image")
    (folder / ".DS_Store").write_bytes(b"")
    return folder


def opened(page: Page, url: str) -> Page:
    page.goto(url)
    expect(page.locator("body.ready")).to_be_attached()
    return page


def images(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))


def rows(page: Page) -> Locator:
    return page.locator("#rows tr[data-id]")


def scored(page: Page, folder: Path) -> Page:
    """The page once all images of the folder are scored."""
    page.set_input_files("#files", images(folder))
    expect(page.locator("#rows tr[data-id][aria-busy=false]")).to_have_count(5, timeout=60_000)
    expect(page.locator("#status")).to_have_text("4 scored, 1 not read")
    return page


def kept(page: Page, name: str) -> None:
    if folder := os.environ.get("BAYESCOPE_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def text_of(download: Download) -> str:
    return Path(download.path()).read_text(encoding="utf-8")


def test_chosen_images_are_listed_with_answer_bar_ratio_and_flags(page: Page, url: str, folder: Path) -> None:
    scored(opened(page, url), folder)
    first = rows(page).filter(has_text="P1_left.png")
    expect(first.locator("img.preview")).to_have_attribute("src", re.compile("^data:image/png"))
    expect(first.locator(".answer b").first).to_have_text(re.compile("upper|lower"))
    expect(first.locator(".bar i")).to_have_attribute("style", re.compile(r"width: ?\d"))
    expect(first.locator(".times")).to_have_text(re.compile(r"times \(.+ – .+\) (upper|lower)"))
    expect(first.locator("svg .whisker")).to_have_count(1)
    expect(rows(page).filter(has_text="broken.png")).to_contain_text("Not read: broken.png: cannot be read as an image")
    kept(page, "list")


def test_a_folder_is_searched(page: Page, url: str, folder: Path) -> None:
    opened(page, url).set_input_files("#folder", folder)
    expect(page.locator("#status")).to_have_text("4 scored, 1 not read", timeout=60_000)
    page.select_option("#grouping", "folder")
    expect(page.locator("tr.group")).to_have_text(["study · 5 images"])


def test_images_can_be_dropped(page: Page, url: str, pictures: list[bytes]) -> None:
    opened(page, url)
    transfer = page.evaluate_handle(
        """bytes => { const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"})); return transfer; }""",
        list(pictures[0]),
    )
    page.dispatch_event("#drop", "dragenter", {"dataTransfer": transfer})
    expect(page.locator("body.dragging")).to_be_attached()
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    expect(page.locator("#status")).to_have_text("1 scored", timeout=60_000)


def test_images_of_one_patient_are_grouped_by_name_or_dicom(
    page: Page, url: str, dicom_url: str, folder: Path, tmp_path: Path
) -> None:
    scored(opened(page, url), folder)
    expect(page.locator("tr.group")).to_have_text([re.compile(f"{patient} · 2 images · together") for patient in ("P1", "P2")])
    page.select_option("#grouping", "none")
    expect(page.locator("tr.group")).to_have_count(0)
    opened(page, dicom_url)
    for i, patient in enumerate(("A", "B", "A")):
        source = SOURCES["mammogram"]()
        source.PatientID = patient
        (tmp_path / f"{i}.dcm").write_bytes(to_bytes(written(source)))
    page.set_input_files("#files", [tmp_path / f"{i}.dcm" for i in range(3)])
    expect(page.locator("#status")).to_have_text("3 scored", timeout=60_000)
    expect(page.locator("tr.group")).to_have_text([re.compile(r"patient \w+ · 2 images"), re.compile(r"patient \w+ · 1 image")])


def test_the_error_bar_shrinks_while_passes_accumulate(page: Page, url: str, folder: Path) -> None:
    opened(page, url)
    page.evaluate(
        """() => { window.widths = []; new MutationObserver(() => {
        const whisker = document.querySelector("#rows tr[aria-busy=true] .whisker");
        if (whisker) window.widths.push(whisker.x2.baseVal.value - whisker.x1.baseVal.value); })
        .observe(document.querySelector("#rows"), {childList: true, subtree: true}); }"""
    )
    page.set_input_files("#files", images(folder)[1:2])
    expect(page.locator("#status")).to_have_text("1 scored", timeout=60_000)
    widths = page.evaluate("window.widths")
    if widths:  # on a fast machine all rounds may fall between two frames
        assert widths[-1] <= widths[0]


def test_the_prevalence_slider_moves_every_row_at_once(page: Page, url: str, folder: Path) -> None:
    scored(opened(page, url), folder)
    page.select_option("#finding", "lower")
    before = page.locator("#rows .bar").evaluate_all("bars => bars.map(bar => parseFloat(bar.firstChild.style.width))")
    ratios = page.locator("#rows .times").all_inner_texts()
    slider = page.get_by_label("Prevalence of lower", exact=True)
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    after = page.locator("#rows .bar").evaluate_all("bars => bars.map(bar => parseFloat(bar.firstChild.style.width))")
    assert all(now < then for now, then in zip(after, before, strict=True))
    assert page.locator("#rows .times").all_inner_texts() == ratios
    page.get_by_label("Prevalence of lower in percent").fill("50")
    page.keyboard.press("Enter")
    again = page.locator("#rows .bar").evaluate_all("bars => bars.map(bar => parseFloat(bar.firstChild.style.width))")
    assert again == pytest.approx(before, abs=1e-6)
    page.locator("#reset-prevalence").click()


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_rows_move_as_bayes_rule_has_it(page: Page, url: str, n_classes: int) -> None:
    """The page's closed form against the calibration that the service uses, the errors of the classes being independent."""
    rng = np.random.default_rng(n_classes)
    evidence, names = rng.normal(0, 2, (20, n_classes)), [f"class {k}" for k in range(n_classes)]
    calibration = BiasCorrectedTemperatureScaling(0.7, tuple(rng.normal(size=n_classes)), (9,) * n_classes, True)
    old, new = (rng.dirichlet(np.full(n_classes, 2.0)) for _ in range(2))
    variances = rng.uniform(0.1, 2, n_classes)

    def error(gradient: np.ndarray) -> np.ndarray:
        return np.sqrt(gradient**2 @ variances)

    at_old, at_new = (calibration.calibrate(evidence, prior, error) for prior in (old, new))
    named = lambda values: dict(zip(names, values.tolist(), strict=True))  # noqa: E731
    records = [
        {
            "class": "",
            "prevalence": named(old),
            "log_likelihood_ratio": named(ratio),
            "standard_error": named(deviation),
        }
        for ratio, deviation in zip(at_old.log_likelihood_ratio, at_old.standard_error, strict=True)
    ]
    opened(page, url)
    found = page.evaluate(
        """async ([records, prevalence]) => { const { atPrevalence } = await import("/js/bayes.js");
        return records.map(record => atPrevalence(record, prevalence)); }""",
        [records, named(new)],
    )
    for i, record in enumerate(found):
        assert list(record["posterior"].values()) == pytest.approx(np.exp(at_new.log_posterior[i]), rel=1e-9)
        assert list(record["log_likelihood_ratio"].values()) == pytest.approx(
            at_new.log_likelihood_ratio[i], rel=1e-7, abs=1e-7
        )
        assert record["class"] == names[int(at_new.log_posterior[i].argmax())]
        for key, expected in (("standard_error", at_new.standard_error), ("posterior_error", at_new.posterior_error)):
            assert list(record[key].values()) == pytest.approx(expected[i], rel=0.01)


@pytest.mark.parametrize("is_dicom", [False, True])
def test_an_opened_image_shows_the_detail_of_its_file(
    page: Page, url: str, dicom_url: str, tmp_path: Path, tiny_data: Dataset, is_dicom: bool
) -> None:
    side = tiny_data.test.pixels.shape[-1]
    if is_dicom:
        side = 8
        file = tmp_path / "a.dcm"
        write_mammogram(file, mammogram(24, 16, seed=3))
    else:
        file = tmp_path / "a.png"
        Image.fromarray(np.kron(tiny_data.test.pixels[0, 0], np.ones((3, 3), np.uint8))).save(file)
    opened(page, dicom_url if is_dicom else url)
    page.set_input_files("#files", file)
    expect(page.locator("#status")).to_have_text("1 scored", timeout=60_000)
    rows(page).first.click()
    image = page.locator("#panes canvas.layer").first
    expect(image).to_have_attribute("width", f"{3 * side}")
    kept(page, f"detail-{file.suffix[1:]}")
    page.keyboard.press("d")
    expect(image).to_have_attribute("width", f"{side}")
    expect(page.locator("#panes canvas.layer").nth(1)).to_have_attribute("width", f"{side}")


def test_images_of_a_patient_are_added_up_as_in_python(page: Page, url: str) -> None:
    rng, names = np.random.default_rng(5), ["class 0", "class 1", "class 2"]
    calibration = BiasCorrectedTemperatureScaling(1.0, (0.0,) * 3, (9,) * 3, True)
    prior = rng.dirichlet(np.full(3, 2.0))
    of_images = predict_from_evidence(
        rng.normal(0, 3, (3, 3)), prior, lambda gradient: np.full(len(gradient), 0.2), np.ones(3, int), calibration
    )
    pooling = GroupPooling("patient", None, 0.3, (0.2, -0.3, 0.1), (9,) * 3, True)
    model = SimpleNamespace(class_names=tuple(names), calibration=calibration)
    expected = combine(cast(LikelihoodModel, model), of_images, ["a"] * 3, "patient", pooling=pooling)
    named = lambda values: dict(zip(names, values.tolist(), strict=True))  # noqa: E731
    records = [
        {"prevalence": named(prior), "log_likelihood_ratio": named(ratio), "standard_error": dict.fromkeys(names, 0.2)}
        for ratio in of_images.log_likelihood_ratio
    ]
    opened(page, url)
    found = page.evaluate(
        """async ([records, poolings, prevalence]) => { const { combined } = await import("/js/groups.js");
        return combined(records, poolings, prevalence); }""",
        [records, [pooling.to_dict()], named(prior)],
    )
    for what in ("posterior", "log_likelihood_ratio", "standard_error"):
        assert list(found[what].values()) == pytest.approx(getattr(expected, what)[0], rel=1e-7)


def test_an_image_is_opened_with_map_levels_window_and_counterfactual(page: Page, url: str, folder: Path) -> None:
    scored(opened(page, url), folder)
    rows(page).filter(has_text="P1_left.png").click()
    layers = page.locator("#panes canvas.layer")
    expect(layers).to_have_count(2)
    expect(page.locator("#scale")).to_contain_text("nats per pixel")
    expect(page.locator("#scale")).to_contain_text("the map adds up to")
    expect(page.locator("#viewer-answer")).to_contain_text("as likely an image of")
    page.locator("#opacity").fill("0.2")
    expect(layers.nth(1)).to_have_css("opacity", "0.2")
    page.locator("#show-map").uncheck()
    expect(layers.nth(1)).to_have_css("opacity", "0")
    whole = page.locator("#scale").inner_text()
    assert page.locator("#levels option").all_inner_texts()[:3] == ["all", "fine half", "coarse half"]
    page.select_option("#levels", label="fine half")
    assert page.locator("#scale").inner_text() != whole

    def brightness() -> float:
        drawn = layers.first.evaluate("canvas => canvas.toDataURL()")
        return float(np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn.partition(",")[2])))).mean())

    plain = brightness()
    page.locator("#window-level").fill("20")
    assert brightness() > plain
    page.locator("#reset-view").click()
    assert brightness() == plain
    page.locator("#window-width").fill("20")
    assert brightness() != plain
    page.locator("#show-counterfactual").check()
    expect(page.locator("#panes figcaption")).to_have_text(
        ["image", re.compile("as (upper|lower)"), re.compile("as (upper|lower)"), "change: orange brighter, blue darker"]
    )
    kept(page, "counterfactual")
    page.locator("#close-viewer").click()
    expect(page.locator("#viewer-panel")).to_be_hidden()


def test_a_late_explanation_does_not_replace_the_one_asked_for_after_it(page: Page, url: str, folder: Path) -> None:
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    scored(opened(page, url), folder)
    page.route("**/v1/explain*", hold_the_first)
    rows(page).nth(1).click()
    page.wait_for_function("() => document.querySelector('#panes[aria-busy=true]')")
    page.keyboard.press("c")
    canvases = page.locator("#panes canvas.layer")
    expect(canvases).to_have_count(5)
    with page.expect_response("**/v1/explain*"):
        held[0].continue_()
    page.wait_for_timeout(300)
    expect(canvases).to_have_count(5)


def test_the_image_is_zoomed_and_panned_all_panes_together(page: Page, url: str, folder: Path) -> None:
    scored(opened(page, url), folder)
    rows(page).nth(1).click()
    page.keyboard.press("c")
    canvases = page.locator("#panes canvas.layer")
    expect(canvases).to_have_count(5)
    page.wait_for_timeout(600)

    def widths() -> list[float]:
        return [float(box["width"]) for canvas in canvases.all() if (box := canvas.bounding_box())]

    before = widths()
    view = page.locator(".pane-view").first.bounding_box()
    assert view is not None
    page.mouse.move(view["x"] + view["width"] / 2, view["y"] + view["height"] / 2)
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(1200)
    after = widths()
    assert all(now > 1.15 * then for now, then in zip(after, before, strict=True))
    page.keyboard.press("0")
    page.wait_for_timeout(800)
    assert widths() == pytest.approx(before, rel=0.02)
    width = page.locator("#window-width").input_value()
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(view["x"] + view["width"] / 2 + 30, view["y"] + view["height"] / 2, steps=5)
    page.mouse.up()
    page.keyboard.up("Shift")
    assert page.locator("#window-width").input_value() != width


def test_the_keyboard_does_everything(page: Page, url: str, folder: Path) -> None:
    opened(page, url)
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("o")
    chooser.value.set_files(images(folder))
    expect(page.locator("#status")).to_have_text("4 scored, 1 not read", timeout=60_000)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('#rows tr')"):
            break
    focused = lambda: page.evaluate("document.activeElement.querySelector('.file')?.textContent ?? document.activeElement.id")  # noqa: E731
    assert focused() == "broken.png" or focused().startswith("P")
    page.keyboard.press("End")
    assert focused() == "P2_right.png"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#viewer-title")).to_have_text("P2_left.png")
    expect(page.locator("#panes canvas.layer")).to_have_count(2)
    page.keyboard.press("j")
    expect(page.locator("#viewer-title")).to_have_text("P2_right.png")
    page.keyboard.press("k")
    expect(page.locator("#viewer-title")).to_have_text("P2_left.png")
    expect(page.locator("#panes canvas.layer")).to_have_count(2)
    page.keyboard.press("m")
    expect(page.locator("#show-map")).not_to_be_checked()
    page.keyboard.press("]")
    expect(page.locator("#opacity")).to_have_value("0.7")
    page.keyboard.press("w")
    expect(page.locator("#window-width")).to_have_value("95")
    page.keyboard.press("Shift+L")
    expect(page.locator("#level-out")).to_have_text("55 %")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#viewer-panel")).to_be_hidden()
    assert focused() == "P2_left.png"


def test_the_list_is_exported_as_csv_and_json(page: Page, url: str, folder: Path) -> None:
    scored(opened(page, url), folder)
    with page.expect_download() as download:
        page.locator("#export-json").click()
    records = json.loads(text_of(download.value))
    read = [record for record in records if "class" in record]
    assert [record["image"] for record in read] == ["P1_left.png", "P1_right.png", "P2_left.png", "P2_right.png"]
    with page.expect_download() as download:
        page.locator("#export-csv").click()
    table = list(csv.DictReader(text_of(download.value).splitlines()))
    assert [row["class"] for row in table] == [record["class"] for record in read]
    assert float(table[0]["posterior upper"]) == read[0]["posterior"]["upper"]
    assert {row["group"] for row in table} == {"P1", "P2"}
    page.locator("#clear").click()
    expect(rows(page)).to_have_count(0)


def test_a_report_of_each_dicom_image_is_saved(page: Page, dicom_url: str, tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(to_bytes(written(SOURCES["mammogram"]())))
    opened(page, dicom_url).set_input_files("#files", tmp_path / "a.dcm")
    expect(page.locator("#status")).to_have_text("1 scored", timeout=60_000)
    with page.expect_download() as download:
        page.locator("#export-sr").click()
    assert download.value.suggested_filename == "a-report.dcm"
    assert dcmread(download.value.path()).Modality == "SR"


def test_the_model_card_is_shown(page: Page, url: str) -> None:
    opened(page, url).locator("#show-model").click()
    expect(page.locator("#card")).to_contain_text("For research; not a medical device.")
    expect(page.locator("#card")).to_contain_text("Calibration")
    kept(page, "card")
    page.locator("#card button").click()
    expect(page.locator("#card")).to_be_hidden()


def test_a_token_is_asked_for_once(page: Page, tiny_run: Path) -> None:
    with listening(tiny_run, ServiceSettings(token=TOKEN)) as url:
        page.goto(url)
        page.locator("#token-input").fill(TOKEN)
        page.keyboard.press("Enter")
        expect(page.locator("body.ready")).to_be_attached()
        page.reload()
        expect(page.locator("body.ready")).to_be_attached()
        expect(page.locator("#token")).to_be_hidden()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1024, 768), (820, 1180)])
def test_nothing_is_cut_off_on_a_screen_or_a_tablet(page: Page, url: str, folder: Path, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    scored(opened(page, url), folder)
    rows(page).nth(1).click()
    expect(page.locator("#panes canvas.layer")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("#close-viewer", "#export-csv", "#show-map", "#window-level"):
        box = page.locator(name).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    kept(page, f"viewer-{width}")


def test_orange_and_blue_and_never_colour_alone(page: Page, url: str, folder: Path) -> None:
    """For and against differ in hue that colour-blind readers tell apart, and by their place left or right of one."""
    scored(opened(page, url), folder)
    page.select_option("#finding", "upper")
    for row in rows(page).filter(has=page.locator("svg")).all():
        above = "for" in (row.locator("svg").get_attribute("class") or "").split()
        dot, one = row.locator("svg .dot"), row.locator("svg .one")
        centre = dot.bounding_box()
        line = one.bounding_box()
        assert centre is not None
        assert line is not None
        assert (centre["x"] + centre["width"] / 2 > line["x"]) == above
        assert dot.evaluate("dot => getComputedStyle(dot).fill") == ("rgb(245, 163, 92)" if above else "rgb(111, 177, 242)")
