"""What classify asks for without options, what it ends with where a file cannot be read, and what it says beside."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from bayescope.cli import classify
from bayescope.data.dataset import Dataset
from bayescope.data.filesystem.file_summary import FileSummary
from bayescope.data.filesystem.walk import LeftOut
from bayescope.inference.novelty import NoveltyTest
from cli.spies import answered, argument, bars
from conftest import Call


@pytest.fixture
def folder(tiny_data: Dataset, tmp_path: Path) -> Path:
    Image.fromarray(tiny_data.test.pixels[0, 0]).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    return tmp_path


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["table", "json"])
def test_a_file_that_cannot_be_read_is_one_of_the_exit_code(
    cli: Call, tiny_run: Path, folder: Path, options: tuple[str, ...]
) -> None:
    told = cli("classify", tiny_run, folder, *options)
    assert told.code == 1
    assert "good.png" in told.out
    assert "bad.png" in told.err
    assert cli("classify", tiny_run, folder / "good.png", *options).code == 0


def test_remarks_on_an_image_are_told_with_it(cli: Call, monkeypatch: pytest.MonkeyPatch, tiny_run: Path, folder: Path) -> None:
    read = classify.read_images

    def remarked(*arguments: Any) -> Any:
        return replace(read(*arguments), remarks=(("cut at its edge",),))

    monkeypatch.setattr(classify, "read_images", remarked)
    (record,) = map(json.loads, cli("classify", tiny_run, folder / "good.png", "--json").out.splitlines())
    assert "cut at its edge" in record["warnings"]


def test_without_options_a_table_of_the_test_images_is_asked_for(
    cli: Call, tiny_run: Path, folder: Path, tmp_path: Path
) -> None:
    told = cli("classify", tiny_run, folder / "good.png")
    assert (told.code, "good.png" in told.out, "{" in told.out) == (0, True, False)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "cache.json").touch()
    words = ["classify", str(tiny_run), str(tmp_path / "cache")]
    assert argument(words, "evaluation.selection:images_of_cache", "split") == "test"
    assert argument(words, "evaluation.selection:images_of_cache", "cache") == str(tmp_path / "cache")
    words = ["classify", str(tiny_run), str(folder / "good.png")]
    for at, expected in (("resize", False), ("frame", None), ("model.class_names", ("upper", "lower"))):
        assert argument(words, "inference.read:read_for_model", at) == expected
    for at, expected in (("run", str(tiny_run)), ("runtime", "torch"), ("device", "auto")):
        assert argument(words, "export.runtime:load_model_on", at) == expected


@pytest.mark.parametrize(("n", "quiet"), [(3, True), (4, False)])
def test_a_bar_is_shown_for_four_images(
    cli: Call, monkeypatch: pytest.MonkeyPatch, tiny_run: Path, folder: Path, n: int, quiet: bool
) -> None:
    shown = bars(monkeypatch, "classify")
    images = [folder / f"{i}.png" for i in range(n)]
    for image in images:
        image.write_bytes((folder / "good.png").read_bytes())
    assert cli("classify", tiny_run, *images, "--json").code == 0
    assert shown == [("scoring images", n, quiet)]


def test_what_is_printed_as_json_is_written_to_a_file(cli: Call, tiny_run: Path, folder: Path, tmp_path: Path) -> None:
    told = cli("classify", tiny_run, folder / "good.png", "--json", "--out", tmp_path / "found.jsonl")
    assert (tmp_path / "found.jsonl").read_text() == told.out != ""


def model(decisions: Any = None) -> Any:
    return SimpleNamespace(calibration=SimpleNamespace(warning="few validation images"), decisions=decisions)


@pytest.mark.parametrize(
    ("trust", "skipped", "told"), [({}, False, True), ({}, True, False), ({"novelty": None}, False, False)]
)
def test_a_test_that_was_not_fitted_is_told_unless_none_was_asked_for(
    capsys: pytest.CaptureFixture[str], trust: dict[str, None], skipped: bool, told: bool
) -> None:
    predictions: Any = SimpleNamespace(trust=trust)
    classify._warn(model(), predictions, ["", "train", "val", "train"], skipped)
    assert capsys.readouterr().err.splitlines() == [
        *([f"warning: {NoveltyTest.wording.not_fitted}"] * told),
        "warning: few validation images",
        "warning: no prediction sets: they need calibrated ratios and at least ten validation images of each class",
        "warning: the run was trained on 2 of these 4 images: their predictions do not apply to new ones",
        "warning: the run was validated on 1 of these 4 images: their predictions do not apply to new ones",
    ]


def test_what_abstention_cannot_promise_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    decisions = SimpleNamespace(abstention=SimpleNamespace(warning="no threshold"))
    predictions: Any = SimpleNamespace(trust={"novelty": None})
    classify._warn(model(decisions), predictions, [""], no_trust_tests=False)
    assert capsys.readouterr().err == "warning: few validation images\nwarning: no threshold\n"


@pytest.mark.parametrize(("from_folders", "left_out", "style"), [(True, 0, "dim"), (True, 1, "yellow"), (False, 1, None)])
def test_what_is_passed_over_in_reading_is_told(
    monkeypatch: pytest.MonkeyPatch, from_folders: bool, left_out: int, style: str | None
) -> None:
    file = LeftOut(Path("bad.png"), "bad.png: no image", failed=True)
    files = FileSummary(9, {"no image": left_out})
    found = SimpleNamespace(
        failed=(file,) * left_out, warnings=("dark",), from_folders=from_folders, left_out=(file,) * left_out, files=files
    )
    titles = answered(monkeypatch, "cli.classify:late_counter", nullcontext("count"))
    read = answered(monkeypatch, "inference.read:read_for_model", found)
    complaints = answered(monkeypatch, "cli.classify:complain")
    warnings = answered(monkeypatch, "cli.classify:warn")
    given: Any = "model"
    assert classify.read_images(given, [Path("a")], "3", True) is found
    assert titles == [{"title": "reading images", "seconds": 2.0}]
    assert [list(call.values()) for call in read] == [["model", [Path("a")], 3, "count", True]]
    skipped = [{"text": "skipped: bad.png: no image", "style": "red"}] * left_out
    assert complaints == skipped + [{"text": str(files), "style": style}] * (style is not None)
    assert warnings == [{"text": "dark"}]
