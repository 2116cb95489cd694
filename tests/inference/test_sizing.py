"""Images of another size: refused with a remedy that works, or brought to the model's size as --resize asks."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bayescope.config import Config
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.formats.resize import fit, fit_square
from bayescope.data.load import load_dataset
from bayescope.errors import DataError, RunError
from bayescope.evaluation.labelled_input import load_for_model
from bayescope.fitting.fit import fit_run
from bayescope.inference.read import read_for_model
from bayescope.runs.model_file import load_model, save_model
from bayescope.types import Pixels
from conftest import stripes, write_npz


def enlarged(pixels: Pixels, factor: int = 2) -> Image.Image:
    height, width = pixels.shape
    return Image.fromarray(pixels).resize((factor * width, factor * height), Image.Resampling.BICUBIC)


def smooth(tiny_data: Dataset) -> Pixels:
    """A picture of the model's size without detail that any resizing loses."""
    coarse = Image.fromarray(tiny_data.test.pixels[0, 0]).resize((3, 2), Image.Resampling.BOX)
    return np.asarray(coarse.resize((12, 8), Image.Resampling.BICUBIC))


@pytest.fixture
def pictures(tiny_data: Dataset, tmp_path: Path) -> tuple[Path, Path]:
    """A picture, and the same enlarged twice."""
    pixels = smooth(tiny_data)
    Image.fromarray(pixels).save(tmp_path / "small.png")
    enlarged(pixels).save(tmp_path / "large.png")
    return tmp_path / "small.png", tmp_path / "large.png"


def records(cli: Any, *arguments: object) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in cli(*arguments, "--json").out.splitlines()]


def test_an_enlarged_image_has_the_prediction_of_the_original(cli: Any, tiny_run: Path, pictures: tuple[Path, Path]) -> None:
    small, large = records(cli, "classify", tiny_run, *pictures, "--resize", "--disagreement-rate", 0)
    assert large["posterior"]["upper"] == pytest.approx(small["posterior"]["upper"], abs=1e-2)
    assert large["warnings"] == small["warnings"]


@pytest.mark.parametrize("command", ["classify", "likelihood", "explain"])
def test_the_remedy_of_the_error_works(
    cli: Any, tiny_run: Path, pictures: tuple[Path, Path], tmp_path: Path, command: str
) -> None:
    options = {"likelihood": ("--solver", "heun", "--steps", 1), "explain": ("--out", tmp_path / "out")}.get(command, ())
    refused = cli(command, tiny_run, pictures[1], *options)
    assert (refused.code, "Give --resize to bring them to 8x12 as" in refused.err) == (1, True)
    assert cli(command, tiny_run, pictures[1], *options, "--resize").code == 0


def test_an_image_of_another_aspect_ratio_is_padded_with_a_remark(tiny_run: Path, tmp_path: Path) -> None:
    model = load_model(tiny_run)
    Image.new("L", (30, 30), 200).save(tmp_path / "square.png")
    Image.new("L", (6, 4), 200).save(tmp_path / "tiny.png")
    found = read_for_model(model, sorted(tmp_path.glob("*.png")), resize=True)
    assert found.pixels.shape == (2, 1, 8, 12)
    assert (found.pixels[0, 0, :, :2] == 0).all()
    assert (found.pixels[0, 0, :, 2:10] == 200).all()
    assert (found.pixels[1] == 200).all()
    assert ["another aspect ratio" in found.remarks[i][0] for i in range(2)] == [True, False]
    assert "enlarged" in found.remarks[1][0]
    as_trained = read_for_model(replace(model, sizing="fitted"), [tmp_path / "square.png"], resize=True)
    assert as_trained.remarks == ((),)


@pytest.mark.slow
def test_evaluate_resizes(cli: Any, tiny_run: Path, tiny_data: Dataset, tmp_path: Path) -> None:
    large = np.stack([np.asarray(enlarged(image[0], 3))[None] for image in tiny_data.test.pixels])
    several = replace(tiny_data.test, pixels=large)
    npz = write_npz(tmp_path / "large.npz", replace(tiny_data, train=several, val=several, test=several))
    folder = tmp_path / "folder"
    for i, (image, label) in enumerate(zip(large, several.labels, strict=True)):
        (folder / tiny_data.class_names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(folder / tiny_data.class_names[label] / f"{i}.png")
    for data in (npz, folder):
        refused = cli("evaluate", tiny_run, data, "--split", "all")
        assert (refused.code, "Give --resize" in refused.err) == (2, True)
        result = cli("evaluate", tiny_run, data, "--split", "all", "--resize", "--json")
        assert result.code == 0
        assert "padded with zeros where its aspect ratio differs" in result.err
    model = load_model(tiny_run)
    loaded = load_for_model(model, folder, resize=True).images
    np.testing.assert_array_equal(sorted(loaded.pixels.tolist()), sorted(np.stack([fit(x, (8, 12)) for x in large]).tolist()))
    assert len(load_for_model(model, folder, resize=True).warnings) == 1


def test_a_run_remembers_how_its_images_were_brought_to_size(
    tiny_run: Path, tiny_data: Dataset, tiny_config: Config, tmp_path: Path
) -> None:
    assert load_model(tiny_run).sizing == "unchanged"
    folder = tmp_path / "folder"
    for split in ("train", "val", "test"):
        images: ImageSet = getattr(tiny_data, split)
        for i, label in enumerate(images.labels):
            (folder / split / tiny_data.class_names[label]).mkdir(parents=True, exist_ok=True)
            Image.fromarray(images.pixels[i, 0]).save(folder / split / tiny_data.class_names[label] / f"{i}.png")
    assert load_dataset(folder).sizing == "unchanged"
    settings = tiny_config.model_copy(update={"training": tiny_config.training.model_copy(update={"steps": 1})})
    fit_run(load_dataset(folder, 8), settings, tmp_path / "run")
    assert load_model(tmp_path / "run").sizing == "fitted"


def test_a_run_that_does_not_tell_is_refused(tiny_run: Path, pictures: tuple[Path, Path], tmp_path: Path) -> None:
    model = replace(load_model(tiny_run), sizing=None)
    save_model(tmp_path / "run", model)
    again = load_model(tmp_path / "run")
    for call in (lambda: read_for_model(again, pictures, resize=True), lambda: load_for_model(again, tmp_path, resize=True)):
        with pytest.raises(RunError, match="does not record how its training images were brought to 8x12"):
            call()
    (left_out,) = read_for_model(again, pictures).failed
    assert "Resize them to 8x12 first" in left_out.reason
    with pytest.raises(DataError, match="model expects 8x12"):
        load_for_model(again, write_npz(tmp_path / "n.npz", _large()))


def _large() -> Dataset:
    return Dataset(*(stripes(8, seed, (1, 16, 24)) for seed in range(3)), source="large")


def test_fit_into_a_frame() -> None:
    pixels = np.arange(1, 2 * 6 * 4 + 1, dtype=np.uint8).reshape(2, 6, 4)
    np.testing.assert_array_equal(fit(pixels, (6, 4)), pixels)
    np.testing.assert_array_equal(fit(pixels, (6, 6)), fit_square(pixels, 6))
    wide = fit(pixels, (6, 10))
    np.testing.assert_array_equal(wide[:, :, 3:7], pixels)
    assert not wide[:, :, :3].any()
    assert not wide[:, :, 7:].any()
