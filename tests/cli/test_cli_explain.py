"""``bayescope explain``: what it asks for, writes and says of an explanation that was written down."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from cli.spies import answered
from conftest import Call

PRIOR = np.array([0.25, 0.75])
FULL = SimpleNamespace(class_prior=PRIOR, mean_passes=64.0)
EARLY = SimpleNamespace(mean_passes=12.0, log_likelihood_ratio=np.array([[-1.0, 2.0]]), standard_error=np.array([[0.5, 0.25]]))


def explanation(against: int | None = None) -> Any:
    title = "lower against upper: log-likelihood ratio +1.0000 {}".format
    return SimpleNamespace(predictions=FULL, winner=1, against=against, pixels="pixels", title=title)


class Calls(NamedTuple):
    """What the command asked for."""

    load: list[dict[str, Any]]
    read: list[dict[str, Any]]
    codes: list[dict[str, Any]]
    explain: list[dict[str, Any]]
    files: list[dict[str, Any]]
    classify: list[Any]
    model: Any


def answers(patch: pytest.MonkeyPatch, found: Any, early: Any = EARLY, names: tuple[str, ...] = ("a.png",)) -> Calls:
    scored: list[Any] = []

    def classify(*arguments: Any) -> Any:
        scored.append(arguments)
        return early

    def by_class(values: Any) -> dict[str, float]:
        return dict(zip(("upper", "lower"), values, strict=True))

    calibration = SimpleNamespace(warning="few validation images")
    model = SimpleNamespace(class_names=("upper", "lower"), classify=classify, by_class=by_class, calibration=calibration)
    images = SimpleNamespace(names=names, pixels="pixels read")
    return Calls(
        answered(patch, "runs.model_file:load_model", model),
        answered(patch, "cli.explain:read_images", images),
        answered(patch, "cli.explain:codes_of_objects", "codes"),
        answered(patch, "inference.explain:explain", found),
        answered(patch, "evaluation.explanation_files:explanation_files", {"evidence.png": b"one", "levels.npy": b"two"}),
        scored,
        model,
    )


def test_an_image_is_explained_and_its_files_written(cli: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = answers(monkeypatch, explanation())
    out = tmp_path / "new" / "why"
    told = cli("explain", "run", "case.png", "--out", out)
    assert calls.load == [{"run": Path("run"), "device": "auto"}]
    assert calls.read == [{"model": calls.model, "images": [Path("case.png")], "frame": None, "resize": False}]
    assert calls.read[0]["resize"] is False
    nothing = {"folder": None, "codes": None, "option": "--dicom", "from_cache": False}
    assert calls.codes == [{"model": calls.model, **nothing}]
    (asked,) = calls.explain
    assert asked == {
        "model": calls.model,
        "pixels": "pixels read",
        "class_prior": None,
        "against": None,
        "counterfactual_sigma": None,
    }
    assert [(call["model"], call["unit"]) for call in calls.files] == [(calls.model, "nats")]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        "case-evidence.png": b"one",
        "case-levels.npy": b"two",
    }
    assert told.code == 0
    assert told.out.splitlines() == [
        "lower against upper: log-likelihood ratio +1.0000 nats",
        "the rest mixed at prevalence upper 0.25, lower 0.75",
        "(scored in full; `bayescope classify`, which stops early, gives +2.0000 ± 0.2500 nats)",
        str(out / "case-evidence.png"),
        str(out / "case-levels.npy"),
    ]
    assert told.err == "warning: few validation images\n"
    assert calls.classify == [("pixels", PRIOR)]


def test_options_are_passed_on(cli: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = answers(monkeypatch, explanation(against=0))
    options = ("--frame", 2, "--against", "upper", "--prevalence", "0.2,0.8", "--bans", "--counterfactual", "--sigma", 0.5)
    told = cli("explain", "run", "case.dcm", "--out", tmp_path, *options, "--resize", "--device", "cpu")
    assert calls.load[0]["device"] == "cpu"
    assert (calls.read[0]["frame"], calls.read[0]["resize"]) == ("2", True)
    (asked,) = calls.explain
    np.testing.assert_allclose(asked["class_prior"], [0.2, 0.8])
    assert (asked["against"], asked["counterfactual_sigma"]) == ("upper", 0.5)
    assert calls.files[0]["unit"] == "bans"
    assert {path.name for path in tmp_path.iterdir()} == {"case-frame2-evidence.png", "case-frame2-levels.npy"}
    assert told.out.splitlines()[:2] == [
        "lower against upper: log-likelihood ratio +1.0000 bans",
        "at prevalence upper 0.25, lower 0.75",
    ]
    assert "stops early" not in told.out, "the ratio against one class is not what classify gives"


def test_the_ratio_of_classify_is_in_the_unit_asked_for(cli: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answers(monkeypatch, explanation())
    assert "gives +0.8686 ± 0.1086 bans)" in cli("explain", "run", "case.png", "--out", tmp_path, "--bans").out
    answers(monkeypatch, explanation(), SimpleNamespace(mean_passes=64.0))
    assert "stops early" not in cli("explain", "run", "case.png", "--out", tmp_path).out


def test_a_counterfactual_goes_up_to_level_one_by_default(cli: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = answers(monkeypatch, explanation())
    cli("explain", "run", "case.png", "--out", tmp_path, "--counterfactual")
    assert calls.explain[0]["counterfactual_sigma"] == 1.0


def test_an_image_that_cannot_be_read_is_not_explained(cli: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = answers(monkeypatch, explanation(), names=())
    told = cli("explain", "run", "case.png", "--out", tmp_path / "why")
    assert (told.code, calls.explain, (tmp_path / "why").exists()) == (1, [], False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("FOLDER",), "a folder; expected one image. Give one of its files"),
        (("case.png", "--frame", "all"), "--frame all; expected the number of one frame"),
    ],
)
def test_several_images_are_refused(
    cli: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    calls = answers(monkeypatch, explanation())
    told = cli("explain", "run", *(tmp_path if word == "FOLDER" else word for word in arguments), "--out", tmp_path / "why")
    assert (told.code, message in told.err, calls.read) == (2, True, [])


def test_objects_are_written_of_a_dicom_image(cli: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = explanation()
    calls = answers(monkeypatch, found)
    checked = answered(monkeypatch, "data.formats.dicom.file:check_is_dicom")
    written = answered(monkeypatch, "cli.explain:write_evidence", [Path("one.dcm")])
    words = ("explain", "run", "case.dcm", "--out", tmp_path, "--dicom", "objects", "--codes", "codes.toml")
    assert cli(*words, "--force").out.splitlines()[-1] == "one.dcm"
    assert checked == [{"path": Path("case.dcm")}]
    given = {"folder": Path("objects"), "codes": Path("codes.toml"), "option": "--dicom", "from_cache": False}
    assert calls.codes == [{"model": calls.model, **given}]
    (call,) = written
    image = call.pop("found")
    assert image.pixels == "pixels read"
    asked = {"run": Path("run"), "model": calls.model, "explanation": found, "codes": "codes", "folder": Path("objects")}
    assert call == {**asked, "force": True}
    cli(*words)
    assert written[1]["force"] is False
