"""Single image files: what a viewer shows is what is read, and nothing is lost in silence."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from bayescope.data.files import fit_square, read_image, read_images
from bayescope.errors import DataError

DEEP = np.random.default_rng(0).integers(0, 2**16, (5, 7)).astype(np.uint16)
BYTE = (DEEP >> 8).astype(np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)


def write_deep_rgb_png(path: Path) -> None:
    """A 16-bit RGB PNG, which Pillow can read (as 8 bit) but not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    row = b"\0" + np.arange(6, dtype=">u2").tobytes()
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(row)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("image", [BYTE, DEEP, RGB], ids=["8 bit", "16 bit", "RGB"])
def test_tiff_round_trip(tmp_path: Path, image: np.ndarray, compression: str | None) -> None:
    tifffile.imwrite(tmp_path / "a.TIF", image, compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.TIF"), np.moveaxis(np.atleast_3d(image), -1, 0))


@pytest.mark.parametrize("image", [BYTE, DEEP], ids=["8 bit", "16 bit"])
@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits"])
def test_compressed_tiff(tmp_path: Path, image: np.ndarray, compression: str) -> None:
    Image.fromarray(image).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0], image)


@pytest.mark.parametrize("image", [BYTE, DEEP, RGB], ids=["8 bit", "16 bit", "RGB"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_big_endian_tiff(tmp_path: Path, image: np.ndarray, compression: str | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image, byteorder=">", compression=compression)
    found = read_image(tmp_path / "a.tif")
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, np.moveaxis(np.atleast_3d(image), -1, 0))


@pytest.mark.parametrize("image", [BYTE, DEEP], ids=["8 bit", "16 bit"])
def test_tiff_with_white_as_zero_is_inverted(tmp_path: Path, image: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0], np.iinfo(image.dtype).max - image)


def test_planar_tiff(tmp_path: Path) -> None:
    planes = np.moveaxis(RGB, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), planes)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_palette_becomes_rgb(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(RGB).quantize(16)
    image.save(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), np.moveaxis(np.asarray(image.convert("RGB")), -1, 0))


def test_opaque_alpha_is_dropped(tmp_path: Path) -> None:
    opaque = np.full((5, 7, 1), 255, np.uint8)
    Image.fromarray(np.concatenate([RGB, opaque], axis=2)).save(tmp_path / "rgba.png")
    Image.fromarray(np.concatenate([BYTE[..., None], opaque], axis=2), mode="LA").save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), np.moveaxis(RGB, -1, 0))
    np.testing.assert_array_equal(read_image(tmp_path / "la.png")[0], BYTE)


def test_one_bit_image_is_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(BYTE > 100).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], np.where(BYTE > 100, 255, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, BYTE, extratags=[(274, "H", 1, orientation, True)])
    else:
        image = Image.fromarray(BYTE)
        image.getexif()[0x112] = orientation
        image.save(path, exif=image.getexif())
    upright = Image.fromarray(BYTE)
    upright.getexif()[0x112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(upright))
    np.testing.assert_allclose(read_image(path)[0].astype(int), expected, atol=30 if suffix == ".jpg" else 0)


def test_what_would_be_misread_is_refused(tmp_path: Path) -> None:
    write_deep_rgb_png(tmp_path / "deep.png")
    tifffile.imwrite(tmp_path / "float.tif", DEEP.astype(np.float32))
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([BYTE] * 3), photometric="minisblack")
    (tmp_path / "a.bmp").write_bytes(b"BM")
    for name, message in (
        ("deep.png", "deep.png: 16-bit colour"),
        ("float.tif", "pixels of type float32; expected unsigned 8 or 16 bit"),
        ("pages.tif", "3 pages; expected one"),
        ("a.bmp", "a .bmp file; expected one of .png"),
        ("none.png", r"none.png: cannot be read as an image \(FileNotFoundError"),
    ):
        with pytest.raises(DataError, match=message):
            read_image(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_a_file_cut_anywhere_is_an_error_or_whole(tmp_path: Path, name: str) -> None:
    Image.fromarray(BYTE).save(tmp_path / name)
    whole, content = read_image(tmp_path / name), (tmp_path / name).read_bytes()
    errors: list[str] = []
    for cut in range(0, len(content), 7):
        (tmp_path / name).write_bytes(content[:cut])
        try:
            np.testing.assert_array_equal(read_image(tmp_path / name), whole)
        except DataError as error:
            errors.append(str(error))
    assert len(errors) > len(content) // 7 // 2
    assert not [error for error in errors if str(tmp_path) in error]


def test_mixed_depths_are_promoted_to_sixteen_bit(tmp_path: Path) -> None:
    Image.fromarray(BYTE).save(tmp_path / "a.png")
    Image.fromarray(DEEP).save(tmp_path / "b.png")
    heard: list[tuple[int, int]] = []
    pixels = read_images([tmp_path / "a.png", tmp_path / "b.png"], None, lambda done, total: heard.append((done, total)))
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels[:, 0], [BYTE.astype(np.uint16) * 257, DEEP])
    assert heard == [(1, 2), (2, 2)]


def test_different_sizes_are_both_named(tmp_path: Path) -> None:
    Image.fromarray(BYTE).save(tmp_path / "a.png")
    Image.fromarray(BYTE[:4, :3]).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png is 4x3 and a\.png 5x7 pixels; expected one size\. Give --size N"):
        read_images([tmp_path / "a.png", tmp_path / "b.png"], None)
    assert read_images([tmp_path / "a.png", tmp_path / "b.png"], 6).shape == (2, 1, 6, 6)


def test_the_first_few_broken_files_are_listed(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(9)]
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(DataError, match="9 of 9 images cannot be read") as caught:
        read_images(paths, None)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines[1:6]] == [f"{i}.png" for i in range(5)]
    assert lines[6:] == ["… and 4 more"]


def test_resizing_does_not_alias() -> None:
    lines = np.zeros((1, 64, 64), np.uint8)
    lines[:, :, ::4] = 200  # between the places that plain linear sampling would look at
    small = fit_square(lines, 16)[0, :, 2:-2].astype(int)
    assert np.abs(small - 50).max() <= 5


def test_resizing_rounds_to_the_nearest() -> None:
    assert fit_square(np.array([[[100, 101], [101, 101]]], np.uint8), 1).tolist() == [[[101]]]


def test_resizing_centres_and_pads_with_zeros() -> None:
    wide = np.full((3, 4, 16), 90, np.uint8)
    square = fit_square(wide, 8)
    np.testing.assert_array_equal(square[:, 3:5], 90)
    assert square[:, :3].max() == square[:, 5:].max() == 0
    same = np.random.default_rng(0).integers(0, 255, (3, 8, 8)).astype(np.uint8)
    np.testing.assert_array_equal(fit_square(same, 8), same)
