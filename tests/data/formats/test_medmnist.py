"""MedMNIST files: what is read, and that damage of any kind is told as such."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from bayescope.data.dataset import Dataset
from bayescope.data.load import load_dataset
from bayescope.errors import DataError

N = {"train": 8, "val": 4, "test": 6}


def write(path: Path, **changes: np.ndarray) -> Path:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for split, n in N.items():
        arrays[f"{split}_images"] = rng.integers(0, 256, (n, 5, 7)).astype(np.uint8)
        arrays[f"{split}_labels"] = (np.arange(n) % 2)[:, None].astype(np.uint8)
    np.savez_compressed(path, **(arrays | changes))  # type: ignore[arg-type]
    return path


def changed(path: Path, **changes: np.ndarray) -> Dataset:
    return load_dataset(write(path, **changes))


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
def test_labels_flat_or_in_a_column_of_any_number_type(tmp_path: Path, kind: type) -> None:
    flat = (np.arange(8) % 2).astype(kind)
    for labels in (flat, flat[:, None]):
        data = changed(tmp_path / "a.npz", train_labels=labels)
        assert data.train.labels.dtype == np.int64
        assert data.train.labels.tolist() == [0, 1] * 4
    assert (len(data.train), len(data.val), len(data.test)) == (8, 4, 6)
    assert data.test.names[-1] == "test/5"
    assert data.source == "a.npz"


@pytest.mark.parametrize(
    ("stored", "read"), [("uint8", "uint8"), ("uint16", "uint16"), ("float64", "float32"), ("int32", "float32")]
)
def test_depth_is_kept_and_other_numbers_become_float32(tmp_path: Path, stored: str, read: str) -> None:
    images = {f"{split}_images": np.full((n, 5, 7, 3), 200, stored) for split, n in N.items()}
    data = changed(tmp_path / "a.npz", **images)
    assert data.val.pixels.dtype == read
    assert data.val.image_shape == (3, 5, 7)
    assert (data.val.pixels == 200).all()


def test_known_sets_have_class_names_where_the_count_agrees(tmp_path: Path) -> None:
    assert changed(tmp_path / "breastmnist_64.npz").class_names == ("malignant", "normal or benign")
    assert changed(tmp_path / "pneumoniamnist.npz").class_names == ("normal", "pneumonia")
    assert changed(tmp_path / "own.npz").class_names == ("0", "1")
    assert changed(tmp_path / "breastmnist.npz", train_labels=np.arange(8) % 3).class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": np.array([0, 2] * 4)}, "no training image of class 1, labels up to 2; expected labels 0 to 1"),
        ({"val_labels": np.array([0, 1, 7, 0])}, "no training image of class 7"),
        ({"val_labels": np.array([0, 1, -1, 0])}, "val_labels: label -1; expected 0 or more"),
        ({f"{split}_labels": np.zeros(n, int) for split, n in N.items()}, r"one class only \(0\); expected two or more"),
        ({"train_labels": np.array([0, np.nan] * 4)}, "expected whole numbers"),
        ({"train_labels": np.array([0, np.inf] * 4)}, "expected whole numbers"),
        ({"train_labels": np.array(["a", "b"] * 4)}, "expected whole numbers"),
        ({"test_labels": np.zeros((6, 14), np.uint8)}, r"test_labels: shape \(6, 14\); expected one label per image"),
        ({"test_labels": np.zeros(0, np.uint8)}, "6 test images and 0 labels"),
        ({"val_images": np.zeros((4, 7, 5), np.uint8)}, r"val images \(1, 7, 5\) uint8, train images \(1, 5, 7\) uint8"),
        ({"val_images": np.zeros((4, 5, 7, 3), np.uint8)}, "expected one shape and type"),
        ({"test_images": np.zeros((6, 5, 7), np.uint16)}, "expected one shape and type"),
        ({"val_images": np.zeros((0, 5, 7), np.uint8)}, "with images in it"),
        ({"val_images": np.zeros((4, 5, 7, 9, 1), np.uint8)}, "val_images: shape"),
        ({"train_images": np.full((8, 5, 7), np.inf)}, "NaN or infinite pixels in 8 images"),
        (
            {"train_images": np.where(np.arange(8)[:, None, None] == 3, 1e300, np.ones((8, 5, 7)))},
            "infinite pixels in 1 images",
        ),
        ({"train_images": np.ones((8, 5, 7), complex)}, "values of type complex128"),
        ({"train_images": np.full((8, 5, 7), None, object)}, "allow_pickle=False"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        changed(tmp_path / "a.npz", **changes)


def test_a_stray_huge_label_costs_no_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", test_labels=np.array([0, 1, 0, 1, 0, 10**12]))
    tracemalloc.start()
    with pytest.raises(DataError, match="no training image of class 1000000000000"):
        load_dataset(path)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def test_missing_keys_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train_images=np.zeros((2, 5, 7)), extra=np.zeros(1))
    with pytest.raises(DataError, match=r"keys \['extra', 'train_images'\]; expected .* missing \['test_images'") as caught:
        load_dataset(tmp_path / "a.npz")
    assert "'train_images'" not in str(caught.value).split("missing")[1]


def test_an_array_under_the_wrong_name_is_no_npz(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match=r"not a readable \.npz file"):
        load_dataset(tmp_path / "a.npz")


def test_a_damaged_byte_gives_a_data_error_or_sound_data(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz")
    content, whole = path.read_bytes(), load_dataset(path).fingerprint
    errors = 0
    for place in range(0, len(content), 5):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            assert load_dataset(path).fingerprint == whole
        except DataError:
            errors += 1
    assert errors > len(content) // 5 // 3


@pytest.mark.parametrize(("name", "counts"), [("breastmnist.npz", (546, 78, 156)), ("pneumoniamnist_reassembled.npz", None)])
def test_real_files(shared_data: Path, name: str, counts: tuple[int, int, int] | None) -> None:
    data = load_dataset(shared_data / "medmnist" / name)
    assert data.train.image_shape == (1, 28, 28)
    assert data.train.pixels.dtype == np.uint8
    assert 20 < data.train.pixels.mean() < 235
    if counts:
        assert (len(data.train), len(data.val), len(data.test)) == counts
