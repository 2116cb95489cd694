"""Every door for data, and what it says of bad data."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from bayescope.data.formats.images import read_image
from bayescope.data.formats.resize import fit_square
from bayescope.data.load import load_dataset
from bayescope.data.pixel_scale import PixelScale
from bayescope.errors import DataError


def arrays(n: int = 6, shape: tuple[int, ...] = (8, 8)) -> dict[str, np.ndarray]:
    values = {}
    for split in ("train", "val", "test"):
        values[f"{split}_images"] = np.arange(n * np.prod(shape), dtype=np.uint32).reshape(n, *shape).astype(np.uint8)
        values[f"{split}_labels"] = (np.arange(n) % 2)[:, None].astype(np.uint8)
    return values


def save(path: Path, **changes: object) -> Path:
    np.savez(path, **(arrays() | {k: v for k, v in changes.items() if v is not None}))  # type: ignore[arg-type]
    return path


def test_npz_gray_level_and_rgb(tmp_path: Path) -> None:
    grayscale = load_dataset(save(tmp_path / "grey.npz"))
    assert grayscale.train.pixels.shape == (6, 1, 8, 8)
    assert grayscale.class_names == ("0", "1")
    np.savez(tmp_path / "rgb.npz", **arrays(shape=(8, 10, 3)))
    rgb = load_dataset(tmp_path / "rgb.npz")
    assert rgb.test.pixels.shape == (6, 3, 8, 10)
    np.testing.assert_array_equal(rgb.test.pixels[1, 2], arrays(shape=(8, 10, 3))["test_images"][1, :, :, 2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": np.array([0, 1, -1, 0, 1, 0])}, "label -1"),
        ({"train_labels": np.array([0, 1, 0.5, 0, 1, 0])}, "expected whole numbers"),
        ({"train_labels": np.zeros((6, 3), np.uint8)}, "multi-label"),
        ({"train_labels": np.zeros(5, np.uint8)}, "6 train images and 5 labels"),
        ({"test_labels": np.array([0, 1, 2, 0, 1, 0])}, "no training image of class 2"),
        ({f"{s}_labels": np.zeros(6, np.uint8) for s in ("train", "val", "test")}, "one class only"),
        ({"train_images": np.full((6, 8, 8), np.nan, np.float32)}, "NaN"),
        ({"train_images": np.zeros((6, 8, 8, 2), np.uint8)}, "shape"),
        ({"train_images": np.array([["x"] * 8] * 8)[None].repeat(6, 0)}, "values of type"),
        ({"val_images": np.array([None] * 6, dtype=object)}, "not a readable"),
    ],
)
def test_bad_npz(tmp_path: Path, changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(save(tmp_path / "bad.npz", **changes))


def test_missing_truncated_and_foreign_npz(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_dataset(tmp_path / "none.npz")
    whole = save(tmp_path / "whole.npz").read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "cut.npz").write_bytes(whole[:cut])
        with pytest.raises(DataError, match="not a readable"):
            load_dataset(tmp_path / "cut.npz")
    np.savez(tmp_path / "keys.npz", images=np.zeros(3))
    with pytest.raises(DataError, match="missing"):
        load_dataset(tmp_path / "keys.npz")
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as file:
        file.writestr("a.txt", "x")
    with pytest.raises(DataError):
        load_dataset(tmp_path / "text.npz")
    (tmp_path / "x.doc").write_text("x")
    with pytest.raises(DataError, match=r"expected \.npz"):
        load_dataset(tmp_path / "x.doc")


def write_folder(root: Path, per_class: int = 12, side: int = 8) -> Path:
    rng = np.random.default_rng(0)
    for label in ("benign", "malignant"):
        (root / label).mkdir(parents=True)
        for i in range(per_class):
            Image.fromarray(rng.integers(0, 255, (side, side), dtype=np.uint8)).save(root / label / f"{i}.png")
    return root


def test_folder_is_split_by_class_and_seed(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", per_class=20)
    data = load_dataset(root)
    assert data.class_names == ("benign", "malignant")
    assert [len(s) for s in (data.train, data.val, data.test)] == [28, 4, 8]
    for split in (data.train, data.val, data.test):
        assert np.bincount(split.labels).tolist() == [len(split) // 2] * 2
    assert load_dataset(root).fingerprint == data.fingerprint
    assert load_dataset(root, seed=1).fingerprint != data.fingerprint


def test_folder_with_given_splits(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        write_folder(tmp_path / "set" / split, per_class=3)
    data = load_dataset(tmp_path / "set")
    assert [len(s) for s in (data.train, data.val, data.test)] == [6, 6, 6]


def test_eight_and_sixteen_bit_png_jpeg_and_tiff(tmp_path: Path) -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(deep).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", deep)
    for name in ("a.png", "b.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name)[0], deep)
    Image.fromarray(np.full((8, 8, 3), 77, np.uint8)).save(tmp_path / "c.jpg")
    assert read_image(tmp_path / "c.jpg").shape == (3, 8, 8)
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(tmp_path / "d.png")
    assert read_image(tmp_path / "d.png").shape == (3, 8, 8)


def test_broken_files_are_named_and_sizes_must_agree(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set")
    (root / "benign" / "0.png").write_bytes(b"")
    (root / "benign" / "1.png").write_bytes(b"\x89PNG nonsense")
    with pytest.raises(DataError, match=r"2 of 24 images cannot be read(.|\n)*0\.png(.|\n)*1\.png"):
        load_dataset(root)
    root = write_folder(tmp_path / "other")
    Image.fromarray(np.zeros((5, 9), np.uint8)).save(root / "benign" / "0.png")
    with pytest.raises(DataError, match="Give --size"):
        load_dataset(root)
    assert load_dataset(root, size=6).train.image_shape == (1, 6, 6)
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(root / "benign" / "0.png")
    with pytest.raises(DataError, match="all grayscale or all RGB"):
        load_dataset(root)


def test_empty_and_too_small_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image in class folders"):
        load_dataset(tmp_path / "empty")
    with pytest.raises(DataError, match="rarest class"):
        load_dataset(write_folder(tmp_path / "few", per_class=3))


def table(tmp_path: Path, n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    return pd.DataFrame(
        {"path": [f"{i}.png" for i in range(n)], "label": ["a", "b"] * (n // 2), "patient": [f"p{i // 4}" for i in range(n)]}
    )


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_table_keeps_a_patient_in_one_split(tmp_path: Path, suffix: str) -> None:
    frame = table(tmp_path)
    path = tmp_path / f"cases{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    data = load_dataset(path)
    patients = [{int(name.removesuffix(".png")) // 4 for name in split.names} for split in (data.train, data.val, data.test)]
    assert not patients[0] & patients[1]
    assert not patients[0] & patients[2]
    assert not patients[1] & patients[2]
    assert sum(map(len, patients)) == 15


def test_bad_tables(tmp_path: Path) -> None:
    frame, path = table(tmp_path), tmp_path / "cases.csv"
    frame.drop(columns="label").to_csv(path, index=False)
    with pytest.raises(DataError, match="missing"):
        load_dataset(path)
    frame.assign(patient=[None, *frame["patient"][1:]]).to_csv(path, index=False)
    with pytest.raises(DataError, match="1 rows with a blank"):
        load_dataset(path)
    frame.assign(split=["train", "val", "test"] * 20).to_csv(path, index=False)
    with pytest.raises(DataError, match="15 patients are in more than one split"):
        load_dataset(path)
    frame.assign(split="train").to_csv(path, index=False)
    with pytest.raises(DataError, match="expected train, val and test"):
        load_dataset(path)
    (tmp_path / "cases.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="cannot be read as a table"):
        load_dataset(tmp_path / "cases.parquet")


def test_resizing_keeps_the_aspect_ratio_and_the_depth() -> None:
    image = np.full((1, 20, 10), 40_000, np.uint16)
    square = fit_square(image, 8)
    assert square.shape == (1, 8, 8)
    assert square.dtype == np.uint16
    np.testing.assert_array_equal(square[0, :, 2:6], 40_000)
    assert square[0, :, :2].max() == 0


@pytest.mark.parametrize(
    ("pixels", "low", "high"),
    [(np.zeros((1, 1, 2, 2), np.uint8), 0, 255), (np.full((1, 1, 2, 2), 4000, np.uint16), 0, 4095)],
)
def test_scale_follows_the_depth(pixels: np.ndarray, low: float, high: float) -> None:
    scale = PixelScale.of(pixels)
    assert (scale.low, scale.high) == (low, high)
    np.testing.assert_allclose(scale.to_model(np.array([low, high], pixels.dtype)), [-1, 1])


def test_real_sets_have_their_published_counts(shared_data: Path) -> None:
    breast = load_dataset(shared_data / "medmnist" / "breastmnist.npz")
    assert [np.bincount(s.labels).tolist() for s in (breast.train, breast.val, breast.test)] == [
        [147, 399],
        [21, 57],
        [42, 114],
    ]
    assert breast.class_names == ("malignant", "normal or benign")
    pneumonia = load_dataset(shared_data / "medmnist" / "pneumoniamnist_reassembled.npz")
    assert np.bincount(pneumonia.test.labels).tolist() == [234, 390]
