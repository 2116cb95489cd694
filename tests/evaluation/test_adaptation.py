"""Adapting a run to a site whose images are brighter above than those it was trained on, as if all were of one class."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bayescope.data.dataset import ImageSet
from bayescope.errors import DataError, RunError
from bayescope.evaluation.adaptation import MEASURES, PAGE, AdaptationResult, adapt_run
from bayescope.evaluation.evaluate import evaluate, evaluate_run
from bayescope.fitting.adapt import adapt
from bayescope.metrics.bootstrap import Estimate
from bayescope.runs.model_file import load_model
from conftest import Call, stripes

pytestmark = pytest.mark.slow


def of_site(n: int, seed: int) -> ImageSet:
    """Two images of each patient; every sixth patient's label is wrong, so that no ratio can be large."""
    found = stripes(n, seed)
    pixels = found.pixels * 0.7
    pixels[:, :, :4] += 45
    patients = np.arange(n) // 2
    labels = np.where(patients % 6 == 0, 1 - found.labels, found.labels)
    return replace(found, pixels=pixels.clip(0, 255).astype(np.uint8), labels=labels, groups=tuple(f"q{k}" for k in patients))


def write_table(folder: Path, images: ImageSet) -> Path:
    folder.mkdir(parents=True)
    rows = ["path,label,patient"]
    for i, (pixels, label, patient) in enumerate(zip(images.pixels, images.labels, images.groups, strict=True)):
        Image.fromarray(pixels[0]).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{images.class_names[label]},{patient}")
    (folder / "local.csv").write_text("\n".join(rows))
    return folder / "local.csv"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("site") / "images", of_site(120, 31))


@pytest.fixture(scope="module")
def adapted(tiny_run: Path, local: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AdaptationResult]:
    out = tmp_path_factory.mktemp("adapted") / "run"
    return out, adapt_run(tiny_run, local, out)


def test_new_images_of_the_site_are_better_calibrated(tiny_run: Path, adapted: tuple[Path, AdaptationResult]) -> None:
    new = of_site(400, 32)
    before, after = (evaluate(load_model(run), new, disagreement_rate=0.0) for run in (tiny_run, adapted[0]))
    assert after.measures["log loss"].value < before.measures["log loss"].value - 0.05
    for name in new.class_names:
        loss = after.trust[name]["calibration loss"].measured.value
        assert loss < 0.05 < before.trust[name]["calibration loss"].measured.value


@pytest.mark.slow
def test_folds_foretell_what_new_images_show(adapted: tuple[Path, AdaptationResult]) -> None:
    out, result = adapted
    new = evaluate(load_model(out), of_site(1000, 33), disagreement_rate=0.0)
    assert result.verdict == "helps"
    assert result.difference.high < 0
    told = result.after.measures["log loss"]
    assert told.low - 0.03 < new.measures["log loss"].value < told.high + 0.03


def test_the_network_and_the_prior_stay(tiny_run: Path, adapted: tuple[Path, AdaptationResult]) -> None:
    old, new = load_model(tiny_run), load_model(adapted[0])
    kept, found = old.denoiser.state_dict(), new.denoiser.state_dict()
    assert all(np.array_equal(kept[name], found[name]) for name in kept)
    assert np.array_equal(old.class_prior, new.class_prior)
    assert new.calibration.images == (60, 60)
    assert new.novelty.images == 120
    assert new.novelty(np.zeros((1, len(old.sigmas) + 2))).p_value.shape == (1,)


def test_images_adapted_to_do_not_count_as_unseen(local: Path, adapted: tuple[Path, AdaptationResult]) -> None:
    with pytest.raises(DataError, match="no unseen image of 120"):
        evaluate_run(adapted[0], local, split="all")


def test_a_shift_that_is_none_makes_no_difference() -> None:
    def verdict(low: float, high: float) -> str:
        result = AdaptationResult.__new__(AdaptationResult)
        object.__setattr__(result, "difference", Estimate((low + high) / 2, low, high))
        return result.verdict

    assert verdict(-0.2, -0.1) == "helps"
    assert verdict(0.1, 0.2) == "harms"
    assert verdict(-0.1, 0.2).startswith("makes no difference")


def test_too_few_images_are_refused(tiny_run: Path) -> None:
    model = load_model(tiny_run)
    with pytest.raises(DataError, match=r"38 local images \(19 upper, 19 lower\); expected 40 or more"):
        adapt(model, stripes(38, 1))
    images = of_site(60, 3)
    few = images.subset([*np.flatnonzero(images.labels == 0), *np.flatnonzero(images.labels == 1)[:9]])
    with pytest.raises(DataError, match="10 of each class"):
        adapt(model, replace(few, labels=few.labels))


@pytest.mark.slow
def test_the_command_writes_a_run_a_page_and_its_measures(tiny_run: Path, local: Path, tmp_path: Path, cli: Call) -> None:
    out = tmp_path / "out"
    words = ("adapt", tiny_run, local, "--out", out)
    told = cli(*words, "--json")
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert found["verdict"] == "helps"
    kept = json.loads((out / MEASURES).read_text(), parse_constant=pytest.fail)
    assert kept["after"]["measures"] == found["after"]["measures"]
    page = (out / PAGE).read_text()
    assert "<h1>Adapting to local.csv helps</h1>" in page
    assert f"{found['before']['measures']['AUC']['value']:.3f}" in page
    assert page.count("<svg") == 4
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://www.w3.org", "")
    assert cli("classify", out, local.parent / "3.png").code == 0
    assert cli(*words).code == 2
    assert cli(*words, "--force").code == 0


def test_the_run_itself_is_not_replaced(tiny_run: Path, local: Path) -> None:
    with pytest.raises(RunError, match="the run itself"):
        adapt_run(tiny_run, local, tiny_run, force=True)
