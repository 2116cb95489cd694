"""Sets of image files: grayscale however it is saved, and warnings where depths or ranges differ."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bayescope.data.filesystem.image_files import read_images
from bayescope.data.formats.channels import with_channels
from bayescope.data.load import load_dataset
from bayescope.errors import DataError

GRAYSCALE = np.random.default_rng(0).integers(0, 256, (6, 8)).astype(np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 8, 3)).astype(np.uint8)


def grey_files(folder: Path) -> list[Path]:
    """One grayscale picture in every wrapper that keeps it exactly."""
    image = Image.fromarray(GRAYSCALE)
    for name, mode in (("l.png", "L"), ("la.png", "LA"), ("rgb.png", "RGB"), ("rgba.png", "RGBA"), ("p.png", "P")):
        image.convert(mode).save(folder / name)
    for name in ("l.bmp", "l.gif", "l.tif", "l.pgm"):
        image.save(folder / name)
    image.convert("RGB").save(folder / "rgb.bmp")
    image.convert("RGBA").save(folder / "rgba.tif")
    image.save(folder / "l.webp", lossless=True)
    return sorted(folder.iterdir())


def test_gray_level_is_gray_level_however_it_is_saved(tmp_path: Path) -> None:
    told: list[str] = []
    pixels = read_images(grey_files(tmp_path), None, warn=told.append)
    assert (pixels.shape, told) == ((12, 1, 6, 8), [])
    np.testing.assert_array_equal(pixels[:, 0], np.broadcast_to(GRAYSCALE, (12, 6, 8)))


@pytest.mark.parametrize("quality", [40, 80, 95])
def test_gray_level_as_lossy_webp_or_jpeg_is_gray_level(tmp_path: Path, quality: int) -> None:
    Image.fromarray(GRAYSCALE).save(tmp_path / "a.webp", quality=quality)
    Image.fromarray(GRAYSCALE).convert("RGB").save(tmp_path / "b.jpg", quality=quality)
    assert read_images([tmp_path / "a.webp", tmp_path / "b.jpg"], None).shape == (2, 1, 6, 8)


def test_colour_stays_colour_and_gray_level_among_it_is_told(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "colour.png")
    Image.fromarray(GRAYSCALE).convert("RGB").save(tmp_path / "grey.png")
    told: list[str] = []
    pixels = read_images([tmp_path / "colour.png", tmp_path / "grey.png"], None, warn=told.append)
    np.testing.assert_array_equal(pixels[0], np.moveaxis(COLOUR, -1, 0))
    np.testing.assert_array_equal(pixels[1], np.broadcast_to(GRAYSCALE, (3, 6, 8)))
    assert [text.split(":")[0] for text in told] == [
        f"1 of 2 images are grayscale saved as RGB, such as {tmp_path}/grey.png, next to 1 in colour"
    ]
    Image.fromarray(GRAYSCALE).save(tmp_path / "flat.png")
    with pytest.raises(DataError, match=r"flat\.png has one channel, as 1 of 3 .*colour\.png is in colour, as 1 are"):
        read_images([tmp_path / name for name in ("colour.png", "grey.png", "flat.png")], None)


def test_two_depths_are_told_with_both_ranges(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 50, np.uint8)).save(tmp_path / "byte.png")
    Image.fromarray(np.full((4, 4), 800, np.uint16)).save(tmp_path / "word.png")
    told: list[str] = []
    pixels = read_images([tmp_path / "byte.png", tmp_path / "word.png"], None, warn=told.append)
    assert pixels[:, 0, 0, 0].tolist() == [50 * 257, 800]
    assert len(told) == 1
    assert "1 images of 8 bits (values 50 to 50, 50 on average) next to 1 of 16 bits (values 800 to 800, 800" in told[0]
    assert "scaled by 257 to values 12850 to 12850, 12850 on average" in told[0]


@pytest.mark.parametrize(("low", "high", "kind"), [(4095, 65535, np.uint16), (15, 255, np.uint8), (255, 4095, np.uint16)])
def test_images_of_a_smaller_range_are_told(tmp_path: Path, low: int, high: int, kind: type) -> None:
    for i, top in enumerate((high, low, high)):
        Image.fromarray(np.array([[0, top], [top // 2, 1]]).astype(kind)).save(tmp_path / f"{i}.png")
    paths, told = [tmp_path / f"{i}.png" for i in range(3)], []
    read_images(paths, None, warn=told.append)
    assert len(told) == 1
    assert told[0].startswith(f"1 images have values 0 to {low}, ")
    assert f"such as {paths[1]}, next to 2 that have values 0 to {high}, " in told[0]
    told.clear()
    read_images([paths[0], paths[2]], None, warn=told.append)
    assert told == []


def test_a_warning_reaches_the_data_set(tmp_path: Path) -> None:
    for i in range(24):
        folder = tmp_path / "set" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        rgba = np.dstack([GRAYSCALE, GRAYSCALE, GRAYSCALE, np.full_like(GRAYSCALE, 255 - i % 2)])
        rgba[0, 0, :3] = i
        Image.fromarray(rgba).save(folder / f"{i}.png")
    data = load_dataset(tmp_path / "set")
    assert data.train.image_shape == (1, 6, 8)
    assert [text.split(":")[0] for text in data.warnings] == [f"12 images, such as {tmp_path}/set/b/1.png"]
    assert "transparent pixels" in data.warnings[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 700), st.booleans(), st.sampled_from([np.uint8, np.uint16, np.float32]))
def test_gray_level_made_rgb_and_back(n: int, one_in_colour: bool, kind: type) -> None:
    grayscale = np.random.default_rng(n).integers(0, 256, (n, 1, 2, 3)).astype(kind)
    rgb = with_channels(grayscale, 3, "x")
    assert rgb.shape == (n, 3, 2, 3)
    np.testing.assert_array_equal(with_channels(rgb, 1, "x"), grayscale)
    if one_in_colour and n:
        rgb[n // 2, 1, 0, 0] += 1
        with pytest.raises(DataError, match=f"x: 1 of {n} images are in colour"):
            with_channels(rgb, 1, "x")
    assert with_channels(rgb, 3, "x") is rgb
