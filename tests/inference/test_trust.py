"""A trust test from outside, one class and one entry of the dictionary: fitted, saved, loaded, printed and reported."""

import json
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from PIL import Image

from bayescope.data.dataset import Dataset
from bayescope.errors import RunError
from bayescope.evaluation.report.sections.cases import suspicious
from bayescope.fitting.post_hoc import calibrated
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.trust import Finding, ScoredImages, TrustTest, Wording
from bayescope.inference.trust_tests import TRUST_TESTS
from bayescope.runs.model_file import load_model, save_model
from bayescope.types import Floats, Labels
from conftest import Call
from report_data import context, evaluation


@dataclass(frozen=True)
class Brightness:
    """Result of the toy test: the mean of each image above the brightest held-out image's."""

    excess: Floats

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        return cls(np.concatenate([part.excess for part in parts]))

    def finding(self, i: int) -> Finding:
        excess = float(self.excess[i])
        warning = "too bright" if excess > 0 else ""
        return Finding({"excess": excess, "bright": excess > 0}, f"by {excess:.2f}", "b", f"excess {excess:.2f}", warning)

    def suspicious(self, most: int) -> list[int]:
        return np.flatnonzero(self.excess > 0)[:most].tolist()


@dataclass(frozen=True)
class BrightnessTest:
    largest: float
    images: int

    wording: ClassVar[Wording] = Wording("brightness", "bri", "brightness: excess", "brightness not tested", "Bright", "None.")
    keys: ClassVar[tuple[str, ...]] = ("excess", "bright")
    needs_first_noise: ClassVar[bool] = False

    @classmethod
    def features(cls, scored: ScoredImages) -> Floats:
        return scored.x.flatten(1).mean(dim=1, keepdim=True).double().cpu().numpy()

    @classmethod
    def fit(cls, features: Floats, labels: Labels, patients: Sequence[Hashable] | None) -> Self | None:
        return cls(float(features.max()), len(features)) if len(labels) > 5 else None

    def __call__(self, features: Floats) -> Brightness:
        return Brightness(features[:, 0] - self.largest)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        return cls(**content)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> type[TrustTest]:
    monkeypatch.setitem(TRUST_TESTS, "brightness", BrightnessTest)
    return BrightnessTest


@pytest.fixture
def model(tiny_run: Path) -> LikelihoodModel:
    return load_model(tiny_run)


@pytest.fixture
def run(toy: object, model: LikelihoodModel, tiny_run: Path, tiny_data: Dataset, tmp_path: Path) -> Path:
    """The tiny run with all that held-out images teach fitted again, the toy test among it."""
    save_model(tmp_path / "run", calibrated(model, tiny_data.val, None))
    for name in ("run.json", "metrics.jsonl"):
        (tmp_path / "run" / name).write_bytes((tiny_run / name).read_bytes())
    return tmp_path / "run"


@pytest.fixture
def white(tmp_path: Path) -> Path:
    Image.fromarray(np.full((8, 12), 250, np.uint8)).save(tmp_path / "white.png")
    return tmp_path / "white.png"


def test_it_is_fitted_saved_and_loaded(run: Path, model: LikelihoodModel, tiny_data: Dataset) -> None:
    test = load_model(run).post_hoc.tests["brightness"]
    means = model.scale.to_model(tiny_data.val.pixels).mean(axis=(1, 2, 3))
    assert isinstance(test, BrightnessTest)
    assert (test.largest, test.images) == (pytest.approx(means.max(), abs=1e-6), len(tiny_data.val))
    assert load_model(run).novelty is not None


def test_classify_prints_it(cli: Call, run: Path, tiny_data: Dataset, white: Path, tmp_path: Path) -> None:
    Image.fromarray(tiny_data.test.pixels[0, 0]).save(tmp_path / "usual.png")
    told = cli("classify", run, tmp_path / "usual.png", white, "--json")
    usual, bright = map(json.loads, told.out.splitlines())
    assert (usual["bright"], bright["bright"]) == (False, True)
    assert usual["excess"] < 0 < bright["excess"]
    assert "too bright" in bright["warnings"]
    assert "too bright" not in usual["warnings"]
    assert "novelty_p_value" in usual
    table = cli("classify", run, white).out
    assert " bri " in table.splitlines()[1]
    assert "brightness: excess; passes, n: network passes" in " ".join(table.split())
    skipped = json.loads(cli("classify", run, white, "--json", "--no-trust-tests").out)
    assert (skipped["excess"], skipped["bright"]) == (None, None)


@pytest.mark.usefixtures("toy")
def test_the_report_has_a_gallery_of_it() -> None:
    found = evaluation(trust={"brightness": Brightness(np.where(np.arange(60) == 7, 0.5, -0.25))})
    html = suspicious(found, context(found))
    assert html.index("Least like the training images") < html.index("<h2>Bright</h2>")
    assert html.count("case-") == html.count("case-7.png") > 0
    assert "excess 0.50" in html
    dark = evaluation(trust={"brightness": Brightness(np.full(60, -0.25))})
    assert "<h2>Bright</h2><p>None.</p>" in suspicious(dark, context(dark))
    plain = evaluation()
    assert "<h2>Bright</h2><p>Not tested.</p>" in suspicious(plain, context(plain))


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
def test_the_report_shows_it(cli: Call, run: Path, tiny_npz: Path) -> None:
    assert cli("report", run, "--data", tiny_npz).code == 0
    page = (run / "report.html").read_text()
    assert "<h2>Bright</h2>" in page
    assert "excess -" in page


@pytest.mark.usefixtures("toy")
def test_a_model_fitted_before_says_that_it_was_not_tested(cli: Call, tiny_run: Path, white: Path) -> None:
    told = cli("classify", tiny_run, white)
    assert "brightness not tested" in told.err
    assert "not tested" in told.out or "–" in told.out
    assert "brightness not tested" not in cli("classify", tiny_run, white, "--no-trust-tests").err


def test_only_tests_that_need_it_spend_passes(run: Path, tiny_data: Dataset) -> None:
    model = load_model(run)
    alone = model.with_post_hoc(tests={"brightness": model.post_hoc.tests["brightness"]})
    passes = [
        tested.classify(tiny_data.test.pixels, disagreement_rate=0.3, trust_tests=asked).passes.sum()
        for tested, asked in ((model, False), (alone, True), (model, True))
    ]
    assert passes[0] == passes[1] < passes[2]
    few = alone.classify(tiny_data.test.pixels[:3], disagreement_rate=0.3, trust_tests=True)
    assert few.findings(0).keys() == {"brightness"}


def test_a_model_with_an_unknown_test_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TRUST_TESTS, "brightness")
    with pytest.raises(RunError, match="trust tests brightness cannot be read; expected of novelty"):
        load_model(run)
