"""Files as a model's training images were read: folders, frames, grayscale and colour, depths, and an account of every file."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bayescope.config import Config
from bayescope.data.dataset import Dataset
from bayescope.data.load import load_dataset
from bayescope.errors import DataError
from bayescope.fitting.fit import fit_run
from bayescope.inference.read import read_for_model
from bayescope.runs.model_file import load_model, save_model
from conftest import stripes
from mammograms import mammogram, write_mammogram


@pytest.fixture(scope="module")
def colour_run(tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sets = [stripes(n, seed, (3, 8, 12)) for n, seed in ((60, 1), (30, 2), (40, 3))]
    run = tmp_path_factory.mktemp("colour") / "run"
    fit_run(Dataset(*sets, source="colour"), tiny_config, run)
    return run


@pytest.fixture
def folder(tiny_data: Dataset, tmp_path: Path) -> Path:
    """Two images, one of them linked; a broken one; what is no image, hidden, and a DICOM file without suffix."""
    for name in ("set/deep", "set/@eaDir", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    first, second = (Image.fromarray(pixels[0]) for pixels in tiny_data.test.pixels[:2])
    first.save(tmp_path / "set" / "deep" / "a.png")
    first.save(tmp_path / "set" / "@eaDir" / "a.png")
    second.save(tmp_path / "elsewhere" / "b.bmp")
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "set" / "notes.txt").write_text("x")
    write_mammogram(tmp_path / "set" / "IM1", mammogram(24, 16, seed=0))
    return tmp_path / "set"


def test_a_folder_is_read_and_accounted_for(tiny_run: Path, folder: Path, tiny_data: Dataset) -> None:
    model, heard = load_model(tiny_run), []
    found = read_for_model(model, [folder], callback=lambda done, total: heard.append((done, total)))
    assert found.names == (str(folder / "deep" / "a.png"), str(folder / "linked" / "b.bmp"))
    np.testing.assert_array_equal(found.pixels, tiny_data.test.pixels[:2])
    assert [(file.path, file.failed) for file in found.failed] == [(folder / "broken.png", True)]
    assert (found.files.found, found.files.used) == (6, 2)
    assert found.files.left_out == {
        ".txt is not read": 1,
        "DICOM, which `bayescope prepare folder` reads": 1,
        "cannot be read": 1,
        "in folder @eaDir, which is hidden or a system's": 1,
    }
    assert len(found.left_out) == 4
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_classify_of_a_folder(cli: Any, tiny_run: Path, folder: Path) -> None:
    told = cli("classify", tiny_run, folder, "--json")
    *records, last = [json.loads(line) for line in told.out.splitlines()]
    assert told.code == 1  # one image is broken
    assert [(Path(record["image"]).name, record.get("class")) for record in records] == [
        ("a.png", "upper"),
        ("b.bmp", "lower"),
        ("broken.png", None),
    ]
    assert "cannot be read as an image" in records[2]["error"]
    assert {key: last["summary"][key] for key in ("found", "used")} == {"found": 6, "used": 2}
    assert sum(last["summary"]["left_out"].values()) == 4
    assert "found 6 files, used 2, left out 4: " in told.err
    (folder / "broken.png").unlink()  # the advice, followed
    told = cli("classify", tiny_run, folder)
    assert (told.code, "found 5 files, used 2, left out 3" in told.err) == (0, True)
    assert cli("likelihood", tiny_run, folder, "--json", "--solver", "heun", "--steps", 1).out.count('"log_likelihood"') == 2


def test_explain_takes_no_folder(cli: Any, tiny_run: Path, folder: Path, tmp_path: Path) -> None:
    told = cli("explain", tiny_run, folder, "--out", tmp_path / "why")
    assert (told.code, f"{folder}: a folder; expected one image. Give one of its files" in told.err) == (2, True)
    assert cli("explain", tiny_run, folder / "deep" / "a.png", "--out", tmp_path / "why").code == 0  # the advice, followed


def test_a_folder_without_images(cli: Any, tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_text("x")
    told = cli("classify", tiny_run, tmp_path / "set")
    assert told.code == 2
    assert f"{tmp_path}/set: no image in this folder (found 1 files, used 0, left out 1: .txt is not read (1))" in told.err


@pytest.mark.slow
def test_a_prepared_model_reads_dicom_of_a_folder_by_its_content(cli: Any, prepared_run: Path, folder: Path) -> None:
    found = read_for_model(load_model(prepared_run), [folder])
    assert [Path(name).name for name in found.names] == ["IM1", "a.png", "b.bmp"]
    assert found.pixels.shape == (3, 1, 8, 8)
    told = cli("classify", prepared_run, folder / "IM1", "--json")
    assert (told.code, len(told.out.splitlines())) == (0, 1)


def test_frames_are_chosen_counted_from_one(cli: Any, prepared_run: Path, tmp_path: Path) -> None:
    path, model = tmp_path / "three.dcm", load_model(prepared_run)
    write_mammogram(path, mammogram(24, 16, seed=0), frames=3)
    assert len(read_for_model(model, [path]).failed) == 1
    every = read_for_model(model, [path], frame="all")
    assert every.names == tuple(f"{path}#{number}" for number in (1, 2, 3))
    second = read_for_model(model, [path], frame=2)
    assert second.names == (f"{path}#2",)
    np.testing.assert_array_equal(second.pixels[0], every.pixels[1])
    assert [file.path for file in read_for_model(model, [path], frame=4).failed] == [path]
    told = cli("classify", prepared_run, path, "--frame", "all", "--json")
    assert [json.loads(line)["image"] for line in told.out.splitlines()] == list(every.names)
    assert cli("classify", prepared_run, path, "--frame", 3).code == 0
    assert cli("likelihood", prepared_run, path, "--frame", 2, "--solver", "heun", "--steps", 1).code == 0
    assert cli("explain", prepared_run, path, "--frame", 2, "--out", tmp_path / "why").code == 0
    assert (tmp_path / "why" / "three-frame2-evidence.png").is_file()
    for frame, message in (("0", "frame '0'; expected a number from 1"), ("x", "frame 'x'; expected")):
        told = cli("classify", prepared_run, path, "--frame", frame)
        assert (told.code, message in told.err) == (2, True)
    assert "Explain one frame at a time" in cli("explain", prepared_run, path, "--frame", "all", "--out", tmp_path).err


def test_a_picture_has_one_frame(tiny_run: Path, folder: Path) -> None:
    model, path = load_model(tiny_run), folder / "deep" / "a.png"
    assert read_for_model(model, [path], frame=1).names == read_for_model(model, [path], frame="all").names == (str(path),)
    assert "no frame 2, not being DICOM" in read_for_model(model, [path], frame=2).failed[0].reason


def test_gray_level_and_colour_meet_a_model_of_the_other(
    tiny_run: Path, colour_run: Path, tiny_data: Dataset, tmp_path: Path
) -> None:
    grayscale = tiny_data.test.pixels[0, 0]
    for mode in ("L", "RGB", "RGBA", "P", "LA"):
        Image.fromarray(grayscale).convert(mode).save(tmp_path / f"{mode}.png")
    paths = sorted(tmp_path.glob("*.png"))
    of_grey, of_colour = (read_for_model(load_model(run), paths) for run in (tiny_run, colour_run))
    np.testing.assert_array_equal(of_grey.pixels, np.broadcast_to(grayscale, (5, 1, *grayscale.shape)))
    np.testing.assert_array_equal(of_colour.pixels, np.broadcast_to(grayscale, (5, 3, *grayscale.shape)))
    Image.fromarray(stripes(1, 5, (3, 8, 12)).pixels[0].transpose(1, 2, 0)).save(tmp_path / "colour.png")
    refused = read_for_model(load_model(tiny_run), [tmp_path / "colour.png"]).failed
    assert "1 of 1 images are in colour; the model was trained on grayscale ones" in refused[0].reason


def class_folders(root: Path, data: Dataset, mode: str) -> Path:
    for split in ("train", "val", "test"):
        images = getattr(data, split)
        for i, (pixels, label) in enumerate(zip(images.pixels, images.labels, strict=True)):
            folder = root / split / data.class_names[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[0]).convert(mode).save(folder / f"{i}.png")
    return root


@pytest.mark.slow
def test_gray_level_is_gray_level_in_every_command(
    cli: Any, tiny_run: Path, colour_run: Path, config_file: Path, tiny_data: Dataset, tmp_path: Path
) -> None:
    sets = {mode: class_folders(tmp_path / mode, tiny_data, mode) for mode in ("L", "RGBA")}
    assert load_dataset(sets["L"]).fingerprint == load_dataset(sets["RGBA"]).fingerprint
    measured = [json.loads(cli("evaluate", tiny_run, sets[mode], "--json").out)["measures"] for mode in sets]
    assert measured[0] == measured[1]
    assert cli("evaluate", colour_run, sets["L"]).code == 0
    assert cli("train", sets["RGBA"], "--out", tmp_path / "run", "--config", config_file, "--steps", 1).code == 0
    assert load_model(tmp_path / "run").image_shape == (1, 8, 12)


def test_values_unlike_the_training_images_are_told(cli: Any, tiny_run: Path, tmp_path: Path) -> None:
    byte = load_model(tiny_run)
    deep = replace(byte, scale=replace(byte.scale, high=4095.0), pixel_type="uint16")
    image = np.arange(96).reshape(8, 12)
    for name, pixels in (
        ("over.png", (image * 600).astype(np.uint16)),
        ("under.png", (image * 2).astype(np.uint16)),
        ("like.png", (image * 40).astype(np.uint16)),
        ("byte.png", image.astype(np.uint8)),
    ):
        Image.fromarray(pixels).save(tmp_path / name)
    paths = [tmp_path / name for name in ("over.png", "under.png", "like.png", "byte.png")]
    found = read_for_model(deep, paths)
    over, under, like, stretched = found.remarks
    assert over[0].startswith("values above 4095")
    assert under[0].startswith("values below a sixteenth of the training images' 0 to 4095")
    assert like == ()
    assert stretched[0].startswith("8 bits, the training images 16: values are stretched to their 0 to 4095")
    assert found.gray_level_steps.tolist() == [1, 1, 1, 4095 / 255]
    assert len(found.warnings) == 3
    save_model(tmp_path / "run", deep)
    again = tmp_path / "over again.png"
    again.write_bytes(paths[0].read_bytes())
    told = cli("classify", tmp_path / "run", *paths, again, "--json")
    assert f"warning: 2 images, such as {paths[0]}: values above 4095" in told.err
    records = [json.loads(line) for line in told.out.splitlines()]
    assert [any("values above" in text for text in record["warnings"]) for record in records] == [
        True,
        False,
        False,
        False,
        True,
    ]


@pytest.mark.slow
def test_evaluate_tells_of_values_unlike_the_training_images(
    cli: Any, tiny_run: Path, tiny_data: Dataset, tmp_path: Path
) -> None:
    run, data = tmp_path / "run", class_folders(tmp_path / "set", tiny_data, "L")
    byte = load_model(tiny_run)
    save_model(run, replace(byte, scale=replace(byte.scale, high=4095.0), pixel_type="uint16"))
    told = cli("evaluate", run, data, "--json")
    assert "warning: 130 images, such as 1.png: 8 bits, the training images 16" in told.err
    record = json.loads(told.out)
    assert any("130 images, such as 1.png: 8 bits" in text for text in record["warnings"])
    assert record["files"] == {"found": 130, "used": 130, "left_out": {}}


def test_names_that_are_no_utf8(cli: Any, tiny_run: Path, folder: Path) -> None:
    path = folder / os.fsdecode(b"caf\xe9 1.png")
    (folder / "deep" / "a.png").rename(path)
    for given in (path, folder):
        told = cli("classify", tiny_run, given, "--json")
        assert json.loads(told.out.splitlines()[0])["image"] == str(folder / r"caf\xe9 1.png")
    assert cli("classify", tiny_run, path).code == 0


def test_a_cache_among_files_is_refused(prepared_run: Path, folder: Path) -> None:
    cache = prepared_run.parent / "cache"
    with pytest.raises(DataError, match="cache: a cache of `bayescope prepare`; expected image files and folders"):
        read_for_model(load_model(prepared_run), [cache, folder])


def test_training_tells_and_keeps_the_account(cli: Any, config_file: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    data = class_folders(tmp_path / "set", tiny_data, "L")
    (data / "train" / "upper" / "notes.txt").write_text("x")
    told = cli("train", data, "--out", tmp_path / "run", "--config", config_file, "--steps", 1)
    assert f"{data}: found 131 files, used 130, left out 1: .txt is not read (1)" in told.err
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["files"] == {"found": 131, "left_out": {".txt is not read": 1}, "used": 130}
