"""Single image files: what a viewer shows is what is read, and nothing is lost in silence."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from bayescope.data.filesystem.class_folders import is_image
from bayescope.data.filesystem.image_files import read_images
from bayescope.data.formats.images import FORMATS, read_image
from bayescope.data.formats.resize import fit_square
from bayescope.errors import DataError

DEEP = np.random.default_rng(0).integers(0, 2**16, (5, 7)).astype(np.uint16)
BYTE = (DEEP >> 8).astype(np.uint8)
EXIF_TURNED = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
"""Orientation 6."""
RGB = np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)


def write_png(path: Path, rows: bytes, width: int, height: int, bits: int, colour: int, extra: bytes = b"") -> Path:
    """A PNG of a kind that Pillow does not write, of packed samples; ``colour``: 0 grayscale, 2 RGB, 4 grayscale and alpha, 6
    RGBA."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    step = len(rows) // height
    lines = b"".join(b"\0" + rows[i : i + step] for i in range(0, len(rows), step))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    orientation = chunk(b"eXIf", extra) if extra else b""
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + orientation + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))
    return path


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
    tifffile.imwrite(tmp_path / "float.tif", DEEP.astype(np.float32))
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([BYTE] * 3), photometric="minisblack")
    (tmp_path / "a.psd").write_bytes(b"8BPS")
    Image.fromarray(BYTE).save(tmp_path / "moving.gif", save_all=True, append_images=[Image.fromarray(255 - BYTE)])
    (tmp_path / "deep.ppm").write_bytes(b"P6 2 1 65535 " + bytes(range(12)))
    for name, message in (
        ("deep.ppm", "deep.ppm: 16-bit colour"),
        ("moving.gif", "moving.gif: 2 frames; expected one"),
        ("float.tif", "pixels of type float32; expected unsigned 8 or 16 bit"),
        ("pages.tif", "3 pages; expected one"),
        ("a.psd", "a .psd file; expected one of .png"),
        ("none.png", r"none.png: cannot be read as an image \(FileNotFoundError"),
    ):
        with pytest.raises(DataError, match=message):
            read_image(tmp_path / name)


@pytest.mark.parametrize(("colour", "samples"), [(2, 3), (4, 2), (6, 4)], ids=["RGB", "grayscale and alpha", "RGBA"])
def test_sixteen_bit_png_in_colour_or_with_alpha_keeps_its_bits(tmp_path: Path, colour: int, samples: int) -> None:
    image = np.random.default_rng(2).integers(0, 2**16, (5, 7, samples)).astype(np.uint16)
    if samples in (2, 4):
        image[..., -1] = 65535
    path = write_png(tmp_path / "a.png", image.astype(">u2").tobytes(), 7, 5, 16, colour)
    found, channels = read_image(path), 3 if samples > 2 else 1
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, np.moveaxis(image[..., :channels], -1, 0))
    turned = write_png(tmp_path / "b.png", image.astype(">u2").tobytes(), 7, 5, 16, colour, EXIF_TURNED)
    np.testing.assert_array_equal(read_image(turned), np.moveaxis(np.rot90(image[..., :channels], -1), -1, 0))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_few_bits_fill_the_range_of_eight(tmp_path: Path, bits: int, white_is_zero: bool) -> None:
    top = 2**bits - 1
    image = (np.arange(40) % (top + 1)).reshape(5, 8).astype(np.uint8)
    shown = (top - image if white_is_zero else image) * (255 // top)
    photometric = "miniswhite" if white_is_zero else "minisblack"
    stored, depth = (image.astype(bool), None) if bits == 1 else (image, bits)
    tifffile.imwrite(tmp_path / "a.tif", stored, bitspersample=depth, photometric=photometric)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0], shown)
    if not white_is_zero:
        rows = np.packbits(np.unpackbits(image[..., None], axis=-1)[..., 8 - bits :].reshape(5, -1), axis=-1)
        path = write_png(tmp_path / "a.png", rows.tobytes(), 8, 5, bits, 0)
        np.testing.assert_array_equal(read_image(path)[0], shown)


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_one_bit_tiff_compressed(tmp_path: Path, compression: str) -> None:
    Image.fromarray(BYTE > 100).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0], np.where(BYTE > 100, 255, 0))


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_nine_to_fifteen_bits_keep_their_values(tmp_path: Path, bits: int, white_is_zero: bool) -> None:
    image = DEEP >> (16 - bits)
    photometric = "miniswhite" if white_is_zero else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", image, bitspersample=bits, photometric=photometric)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0], 2**bits - 1 - image if white_is_zero else image)


@pytest.mark.parametrize("suffix", [".bmp", ".dib", ".webp", ".gif", ".pgm", ".ppm", ".jpe", ".jfif", ".jpeg"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_what_pillow_reads_is_read_so(tmp_path: Path, suffix: str, mode: str) -> None:
    kind = {".pgm": "PPM", ".ppm": "PPM", ".jpe": "JPEG", ".jfif": "JPEG", ".jpeg": "JPEG"}.get(suffix)
    image = Image.fromarray(RGB).convert(mode)
    if kind and mode == "P":
        image = image.convert("RGB")
    image.save(tmp_path / f"a{suffix}", kind, **({"lossless": True} if suffix == ".webp" else {}))
    with Image.open(tmp_path / f"a{suffix}") as opened:
        expected = np.asarray(opened.convert("RGB"))
    found = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(np.broadcast_to(found, (3, 5, 7)), np.moveaxis(expected, -1, 0))


def test_deep_pgm(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 7 5 65535 " + DEEP.astype(">u2").tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "a.pgm")[0], DEEP)


def test_the_content_tells_the_kind_of_file(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.jpg", "PNG")
    tifffile.imwrite(tmp_path / "b.png", DEEP >> 4, bitspersample=12)
    Image.fromarray(DEEP).save(tmp_path / "c.tif", "PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), np.moveaxis(RGB, -1, 0))
    np.testing.assert_array_equal(read_image(tmp_path / "b.png")[0], DEEP >> 4)
    np.testing.assert_array_equal(read_image(tmp_path / "c.tif")[0], DEEP)


def transparent_files(folder: Path) -> list[Path]:
    """One pixel transparent, in each way that a file can say so."""
    alpha = np.full((5, 7, 1), 255, np.uint8)
    alpha[2, 3] = 254
    rgba, la = np.concatenate([RGB, alpha], axis=2), np.concatenate([BYTE[..., None], alpha], axis=2)
    Image.fromarray(rgba).save(folder / "rgba.png")
    Image.fromarray(la).save(folder / "la.png")
    Image.fromarray(rgba).save(folder / "rgba.webp", lossless=True, exact=True)
    Image.fromarray(la).save(folder / "la.tif")
    tifffile.imwrite(folder / "rgba.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    once = np.unique(BYTE, return_counts=True)
    single = int(once[0][once[1] == 1][0])
    Image.fromarray(BYTE).save(folder / "level.png", transparency=single)
    Image.fromarray(BYTE).convert("P").save(folder / "palette.png", transparency=single)
    deep = (la.astype(">u2") * 257).tobytes()
    return [*sorted(folder.iterdir()), write_png(folder / "deep.png", deep, 7, 5, 16, 4)]


def test_transparent_pixels_are_told(tmp_path: Path) -> None:
    for path in transparent_files(tmp_path):
        told: list[str] = []
        found = read_image(path, warn=told.append)
        assert [text.startswith("transparent pixels") for text in told] == [True], path.name
        expected = RGB if "rgb" in path.name else BYTE[..., None] * np.uint16(257 if path.stem == "deep" else 1)
        np.testing.assert_array_equal(found, np.broadcast_to(np.moveaxis(expected, -1, 0), found.shape))


def test_an_unknown_channel_of_one_value_is_dropped(tmp_path: Path) -> None:
    more = np.concatenate([RGB, np.zeros((5, 7, 1), np.uint8)], axis=2)
    tifffile.imwrite(tmp_path / "a.tif", more, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.moveaxis(RGB, -1, 0))
    more[..., 3] = BYTE
    tifffile.imwrite(tmp_path / "a.tif", more, photometric="rgb", extrasamples=["unspecified"])
    with pytest.raises(DataError, match="a channel in addition to colour whose meaning"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp", "a.gif"])
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
    assert [error for error in errors if error.count(str(tmp_path / name)) != 1] == []


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
    with pytest.raises(
        DataError, match=rf"{tmp_path}/b\.png is 4x3 and {tmp_path}/a\.png 5x7 pixels; expected one size\. Give --size N"
    ):
        read_images([tmp_path / "a.png", tmp_path / "b.png"], None)
    assert read_images([tmp_path / "a.png", tmp_path / "b.png"], 6).shape == (2, 1, 6, 6)


def test_the_first_few_broken_files_are_listed(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(9)]
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(DataError, match="9 of 9 images cannot be read") as caught:
        read_images(paths, None)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines[1:6]] == [str(path) for path in paths[:5]]
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


def test_a_format_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function and a line: the file is read, and counts as an image in a folder."""
    path = tmp_path / "a.TXT"
    np.savetxt(path, BYTE, fmt="%d")
    with pytest.raises(DataError, match=r"a \.TXT file; expected one of \.png"):
        read_image(path)
    assert not is_image(path)
    monkeypatch.setitem(FORMATS, ".txt", lambda path, warn: np.loadtxt(path, dtype=np.uint8))
    assert (read_image(path) == BYTE).all()
    assert is_image(path)


@pytest.mark.parametrize(
    ("name", "start", "advice"),
    [("a.dcm.gz", b"\x1f\x8b", "gunzip"), ("a.zip", b"PK\x03\x04", "unzip"), ("a.xz", b"\xfd7zXZ\0", "unxz")],
)
def test_packed_files_are_to_be_unpacked(tmp_path: Path, name: str, start: bytes, advice: str) -> None:
    (tmp_path / name).write_bytes(start + bytes(64))
    with pytest.raises(DataError, match=f"Unpack it first: {advice} "):
        read_image(tmp_path / name)
