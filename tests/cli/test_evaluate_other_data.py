"""Images and data sets other than those trained on: brought to the model's pixels and classes, or refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from bayescope.config import Config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.load import load_images
from bayescope.errors import DataError
from bayescope.evaluation.labelled_input import class_numbers, load_for_model
from bayescope.evaluation.selection import choose_images
from bayescope.fitting.fit import fit_run
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.read import read_for_model
from bayescope.runs.model_file import load_model, save_model
from conftest import write_npz


def with_pixels(data: Dataset, dtype: str, factor: float) -> Dataset:
    splits = {name: getattr(data, name) for name in ("train", "val", "test")}
    pixels = {name: (split.pixels * factor).astype(dtype) for name, split in splits.items()}
    return replace(data, **{name: replace(split, pixels=pixels[name]) for name, split in splits.items()})


@pytest.fixture(scope="module")
def runs(tiny_data: Dataset, tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs on the same images, stored in 12 bit, in 16 bit but no larger than 8, and in floating point."""
    folder = tmp_path_factory.mktemp("stored")
    kinds = {"12 bit": ("uint16", 4095 / 255), "dark": ("uint16", 1.0), "float": ("float32", 1.0)}
    for name, kind in kinds.items():
        fit_run(with_pixels(tiny_data, *kind), tiny_config, folder / name)
    return {name: folder / name for name in kinds}


def prepare(model: LikelihoodModel, path: Path) -> np.ndarray:
    """One file as the model takes it ``(channel, height, width)``."""
    (pixels,) = read_for_model(model, [path]).pixels
    return np.asarray(pixels)


def save_picture(path: Path, pixels: np.ndarray) -> Path:
    if pixels.dtype == np.uint8:
        Image.fromarray(pixels[0]).save(path)
    else:
        tifffile.imwrite(path, pixels[0])
    return path


@pytest.mark.slow
def test_8_bit_images_fill_the_range_of_a_12_bit_model(runs: dict[str, Path], tiny_data: Dataset, tmp_path: Path) -> None:
    model, pixels = load_model(runs["12 bit"]), tiny_data.test.pixels[0]
    assert (model.pixel_type, model.scale.high) == ("uint16", 4095)
    byte = prepare(model, save_picture(tmp_path / "byte.png", pixels))
    word = prepare(model, save_picture(tmp_path / "word.tif", (pixels * (4095 / 255)).astype(np.uint16)))
    assert byte.dtype == word.dtype == np.uint16
    assert np.abs(byte.astype(int) - word).max() <= 1
    full = replace(model, scale=replace(model.scale, high=65535.0))
    np.testing.assert_array_equal(prepare(full, tmp_path / "byte.png"), pixels.astype(np.uint16) * np.uint16(257))


def test_bits_per_pixel_are_those_of_the_file_whatever_the_models_depth(
    cli: Any, tiny_run: Path, tiny_data: Dataset, tmp_path: Path
) -> None:
    """One density, of a model of 8-bit and one of 16-bit pixels; a file of each depth."""
    model, pixels, deep = load_model(tiny_run), tiny_data.test.pixels[0], tmp_path / "deep"
    save_model(deep, replace(model, scale=replace(model.scale, high=65535.0), pixel_type="uint16"))
    byte = save_picture(tmp_path / "byte.png", pixels)
    word = save_picture(tmp_path / "word.tif", pixels.astype(np.uint16) * np.uint16(257))

    def bits(run: Path, *files: Path) -> list[list[float]]:
        told = cli("likelihood", run, *files, "--json", "--solver", "heun", "--steps", 12, "--probes", 1)
        assert told.code == 0
        return [list(json.loads(line)["bits_per_dim"].values()) for line in told.out.splitlines()]

    (shallow,) = bits(tiny_run, byte)
    of_byte, of_word = bits(deep, byte, word)
    np.testing.assert_allclose(of_byte, shallow, atol=1e-4)
    np.testing.assert_allclose(of_word, np.array(shallow) + np.log2(257), atol=0.1)


def test_16_bit_images_are_taken_by_a_16_bit_model_however_dark(
    cli: Any, runs: dict[str, Path], tiny_run: Path, tiny_data: Dataset, tmp_path: Path
) -> None:
    path = save_picture(tmp_path / "word.tif", tiny_data.test.pixels[0].astype(np.uint16))
    assert load_model(runs["dark"]).scale.high == 255
    assert cli("classify", runs["dark"], path).code == 0
    result = cli("classify", tiny_run, path)
    assert (result.code, "type uint16; the model was trained on uint8" in result.err) == (1, True)


def test_a_floating_point_model_takes_no_picture(cli: Any, runs: dict[str, Path], tiny_data: Dataset, tmp_path: Path) -> None:
    result = cli("classify", runs["float"], save_picture(tmp_path / "byte.png", tiny_data.test.pixels[0]))
    assert (result.code, "the model was trained on float32" in result.err) == (1, True)


@pytest.mark.slow
def test_data_of_another_type(cli: Any, runs: dict[str, Path], tiny_run: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    deep = write_npz(tmp_path / "deep.npz", with_pixels(tiny_data, "uint16", 4095 / 255))
    real = write_npz(tmp_path / "real.npz", with_pixels(tiny_data, "float32", 1.0))
    for path, kind in ((deep, "uint16"), (real, "float32")):
        result = cli("evaluate", tiny_run, path)
        assert (result.code, f"type {kind}; the model was trained on uint8" in result.err) == (2, True)
    byte = write_npz(tmp_path / "byte.npz", tiny_data)
    found = [json.loads(cli("evaluate", runs["12 bit"], path, "--json").out) for path in (deep, byte)]
    assert found[0]["measures"]["AUC"]["value"] == pytest.approx(found[1]["measures"]["AUC"]["value"], abs=0.02)


@pytest.mark.parametrize(
    ("found", "expected", "order", "warned"),
    [
        (("b", "a"), ("a", "b"), [1, 0], False),
        (("b", "c", "a"), ("a", "b", "c"), [1, 2, 0], False),
        (("0", "1"), ("1", "0"), [1, 0], False),
        (("0", "1"), ("b", "a"), [0, 1], True),
        (("1", "0"), ("b", "a"), [1, 0], True),
        (("malignant", "normal"), ("0", "1"), [0, 1], True),
        (("malignant", "normal"), ("1", "0"), [1, 0], True),
    ],
)
def test_classes_are_matched_by_name_or_number(
    found: tuple[str, ...],
    expected: tuple[str, ...],
    order: list[int],
    warned: bool,
) -> None:
    numbers, warning = class_numbers(found, expected, "set")
    assert numbers == order
    assert ("taken by number" in warning) == warned


@pytest.mark.parametrize("found", [("a", "c"), ("a", "b", "c"), ("0", "1", "2"), ("1", "2"), ("0", "b")])
def test_other_classes_are_refused(found: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="the model expects a, b"):
        class_numbers(found, ("a", "b"), "set")


def write_folders(folder: Path, split: ImageSet, names: tuple[str, str]) -> Path:
    for part in ("train", "val", "test"):
        for name in names:
            (folder / part / name).mkdir(parents=True)
        for i, (pixels, label) in enumerate(zip(split.pixels, split.labels, strict=True)):
            save_picture(folder / part / names[label] / f"{i}.png", pixels)
    return folder


@pytest.mark.slow
def test_labels_follow_names_not_their_order(
    cli: Any, tiny_run: Path, tiny_npz: Path, tiny_data: Dataset, tmp_path: Path
) -> None:
    folder = write_folders(tmp_path / "set", tiny_data.test, ("upper", "lower"))
    loaded = load_for_model(load_model(tiny_run), folder)
    assert load_images(folder).images.class_names == ("lower", "upper")
    assert choose_images(loaded, None, "test").images.class_names == ("upper", "lower")
    by_name = json.loads(cli("evaluate", tiny_run, folder, "--json").out)
    by_number = cli("evaluate", tiny_run, tiny_npz, "--json")
    assert "0 as upper, 1 as lower" in by_number.err
    assert by_name["measures"]["accuracy"] == json.loads(by_number.out)["measures"]["accuracy"]
    other = write_folders(tmp_path / "other", tiny_data.test, ("malignant", "normal"))
    result = cli("evaluate", tiny_run, other)
    assert (result.code, "the model expects upper, lower" in result.err) == (2, True)


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
def test_a_report_tells_whose_images_it_shows(cli: Any, tiny_npz: Path, tiny_run: Path, tmp_path: Path) -> None:
    from bayescope.data.load import load_dataset

    other = Path(tmp_path / "elsewhere.npz")
    other.write_bytes(tiny_npz.read_bytes())
    page = tmp_path / "page.html"
    assert cli("report", tiny_run, "--data", other, "--split", "val", "--out", page).code == 0
    text = page.read_text()
    assert "30 validation images of elsewhere.npz" in text
    assert "Bayescope on elsewhere.npz" in text
    assert f"Data: elsewhere.npz. SHA-256 <code>{load_dataset(other).val.fingerprint()}" in text
    assert "Trained on stripes, SHA-256 " in text


@pytest.mark.slow
@pytest.mark.usefixtures("few_cases")
def test_a_report_of_a_saved_model_without_a_manifest(cli: Any, tiny_npz: Path, tiny_run: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "run", load_model(tiny_run))
    assert "give --data" in cli("report", tmp_path / "run").err.lower()
    assert cli("report", tmp_path / "run", "--data", tiny_npz).code == 0
    assert "Trained on" not in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
def test_images_seen_in_training_are_told_of_and_not_measured(
    cli: Any, tiny_run: Path, tiny_data: Dataset, tmp_path: Path
) -> None:
    images = {split: getattr(tiny_data, split) for split in ("train", "val", "test")}
    files = [save_picture(tmp_path / f"{split}.png", part.pixels[0]) for split, part in images.items()]
    new = tiny_data.test.pixels[0].copy()
    new[0, 0, 0] ^= 1
    files.append(save_picture(tmp_path / "new.png", new))
    told = cli("classify", tiny_run, *files, "--json", "--no-novelty")
    seen = {Path(record["image"]).stem: record["seen"] for record in map(json.loads, told.out.splitlines())}
    assert seen == {"train": "train", "val": "val", "test": None, "new": None}
    for role in ("trained", "validated"):
        assert f"the run was {role} on 1 of these 4 images: their predictions do not apply to new ones" in told.err
    folder = tmp_path / "mixed"
    for i, part in enumerate((images["train"].subset(range(4)), images["test"].subset(range(6)))):
        for name in ("upper", "lower"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for k, (pixels, label) in enumerate(zip(part.pixels, part.labels, strict=True)):
            save_picture(folder / ("upper", "lower")[label] / f"{i}-{k}.png", pixels)
    told = cli("evaluate", tiny_run, folder, "--json")
    found = json.loads(told.out)
    assert (found["split"], found["images"], found["seen"]) == ("all", 6, False)
    assert found["left_out"] == {"images the run was trained on": 4}
    assert "left out: 4 images the run was trained on" in told.err
    strict = cli("evaluate", tiny_run, folder, "--strict")
    assert (strict.code, "left out: 4 images" in strict.err) == (2, True)
