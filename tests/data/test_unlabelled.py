"""Images without labels from every door, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bayescope.data.archives.image_folder import read_image_folder
from bayescope.data.dataset import Dataset
from bayescope.data.load import load_dataset, load_images
from bayescope.data.unlabelled import with_unlabelled
from bayescope.errors import DataError
from conftest import stripes


def write_pictures(folder: Path, pixels: np.ndarray) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{i}.png" for i in range(len(pixels))]
    for name, image in zip(names, pixels, strict=True):
        Image.fromarray(image[0]).save(folder / name)
    return names


@pytest.fixture
def more() -> np.ndarray:
    return stripes(12, 9).pixels


def same_images(data: Dataset, expected: np.ndarray) -> bool:
    assert data.unlabelled is not None
    assert (data.unlabelled.labels == -1).all()
    found = {image.tobytes() for image in data.unlabelled.pixels}
    return len(data.unlabelled) == len(expected) and found == {image.tobytes() for image in expected}


def test_a_folder_without_classes_and_one_with(tiny_data: Dataset, tmp_path: Path, more: np.ndarray) -> None:
    write_pictures(tmp_path / "flat", more)
    write_pictures(tmp_path / "classes" / "lower", more[:5])
    write_pictures(tmp_path / "classes" / ".hidden", more[5:])
    assert same_images(with_unlabelled(tiny_data, tmp_path / "flat"), more)
    assert same_images(with_unlabelled(tiny_data, tmp_path / "classes"), more[:5])


def test_splits_of_their_own_give_training_images_alone(tiny_data: Dataset, tmp_path: Path, more: np.ndarray) -> None:
    for split, part in {"train": more[:6], "val": more[6:8], "test": more[8:]}.items():
        write_pictures(tmp_path / "folders" / split / "upper", part)
    assert same_images(with_unlabelled(tiny_data, tmp_path / "folders"), more[:6])
    names = write_pictures(tmp_path / "pictures", more)
    splits = ["training"] * 6 + ["val"] * 2 + ["test"] * 4
    table = pd.DataFrame({"path": [f"pictures/{name}" for name in names], "split": splits})
    table.to_csv(tmp_path / "table.csv", index=False)
    assert same_images(with_unlabelled(tiny_data, tmp_path / "table.csv"), more[:6])


def test_a_table_needs_paths_alone(tiny_data: Dataset, tmp_path: Path, more: np.ndarray) -> None:
    names = write_pictures(tmp_path / "pictures", more)
    table = pd.DataFrame({"path": [f"pictures/{name}" for name in names], "label": [""] * 12})
    table.to_parquet(tmp_path / "table.parquet")
    assert same_images(with_unlabelled(tiny_data, tmp_path / "table.parquet"), more)
    table.assign(path=["", *table["path"][1:]], label="x").to_csv(tmp_path / "blank.csv", index=False)
    with pytest.raises(DataError, match="1 rows with a blank path"):
        with_unlabelled(tiny_data, tmp_path / "blank.csv")
    table.rename(columns={"path": "file"}).to_csv(tmp_path / "named.csv", index=False)
    with pytest.raises(DataError, match="expected a column path"):
        with_unlabelled(tiny_data, tmp_path / "named.csv")


@pytest.mark.parametrize("key", ["images", "train_images"])
def test_an_npz_without_labels(tiny_data: Dataset, tmp_path: Path, more: np.ndarray, key: str) -> None:
    np.savez(tmp_path / "more.npz", **{key: more[:, 0]})
    data = with_unlabelled(tiny_data, tmp_path / "more.npz")
    assert same_images(data, more)
    assert data.notes[-1] == f"12 images without labels from {tmp_path / 'more.npz'}"
    assert data.fingerprint == tiny_data.fingerprint


def test_images_of_the_labelled_data_are_left_out_and_counted(tiny_data: Dataset, tmp_path: Path, more: np.ndarray) -> None:
    held = [tiny_data.train.pixels[:2], tiny_data.val.pixels[:1], tiny_data.test.pixels[:3]]
    np.savez(tmp_path / "more.npz", images=np.concatenate([*held, more])[:, 0])
    data = with_unlabelled(tiny_data, tmp_path / "more.npz")
    assert same_images(data, more)
    assert "6 left out that stripes contains already" in data.notes[-1]
    np.savez(tmp_path / "all.npz", images=tiny_data.test.pixels[:, 0])
    with pytest.raises(DataError, match="all of its 40 images are in stripes"):
        with_unlabelled(tiny_data, tmp_path / "all.npz")


def test_eight_bits_are_stretched_to_the_range_of_sixteen(tiny_data: Dataset, tmp_path: Path, more: np.ndarray) -> None:
    wide = {name: replace(getattr(tiny_data, name), pixels=getattr(tiny_data, name).pixels.astype(np.uint16) * 16) for name in
            ("train", "val", "test")}  # fmt: skip
    write_pictures(tmp_path / "flat", more)
    data = with_unlabelled(replace(tiny_data, **wide), tmp_path / "flat")
    assert same_images(data, np.rint(more * (4095 / 255)).astype(np.uint16))


def test_size_brings_pictures_to_the_shape_and_another_shape_is_refused(tmp_path: Path) -> None:
    square = Dataset(*(stripes(20, seed, (1, 8, 8)) for seed in (1, 2, 3)), source="square")
    write_pictures(tmp_path / "large", stripes(6, 9, (1, 16, 16)).pixels)
    with pytest.raises(DataError, match=r"of 16x16 pixels and 1 channel, those of square of 8x8.*Give --size N"):
        with_unlabelled(square, tmp_path / "large")
    data = with_unlabelled(square, tmp_path / "large", size=8)
    assert data.unlabelled is not None
    assert data.unlabelled.pixels.shape == (6, 1, 8, 8)


def test_what_holds_no_images_is_refused(tiny_data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    np.savez(tmp_path / "keys.npz", pictures=np.zeros((3, 8, 8), np.uint8))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "keys.npz").read_bytes()[:50])
    for name, message in {
        "none": "no such file or folder",
        "empty": "no image to learn from",
        "notes.txt": r"a \.txt file; expected a folder",
        "keys.npz": "expected train_images or images",
        "cut.npz": "not a readable",
    }.items():
        with pytest.raises(DataError, match=message):
            with_unlabelled(tiny_data, tmp_path / name)


def blank_table(folder: Path, pixels: np.ndarray) -> Path:
    """Sixty images, those of every fourth without a label; patients of three images each, splits as given."""
    names = write_pictures(folder, pixels)
    rows = ["path,label,patient,split"]
    for i, name in enumerate(names):
        split = ("train", "train", "val", "test")[i // 3 % 4]
        rows.append(f"{name},{'' if i % 4 == 1 else 'ab'[i % 2]},p{i // 3},{'' if i % 4 == 1 and i < 30 else split}")
    (folder / "cases.csv").write_text("\n".join(rows))
    return folder / "cases.csv"


def test_blank_labels_of_a_table_teach_without_labels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (60, 1, 12, 12), dtype=np.uint8)
    data = load_dataset(blank_table(tmp_path, pixels))
    without = [i for i in range(60) if i % 4 == 1]
    used = [i for i in without if i // 3 % 4 < 2]
    assert same_images(data, pixels[used])
    labelled = np.concatenate([data.train.pixels, data.val.pixels, data.test.pixels])
    assert {x.tobytes() for x in labelled} == {pixels[i].tobytes() for i in range(60) if i not in without}
    (warning,) = data.warnings
    assert f"{len(without)} rows with a blank label: {len(used)} images are used in training without labels" in warning
    assert f"{len(without) - len(used)} left out that are for validation or test" in warning


def test_blank_labels_and_further_images_are_both_used(tmp_path: Path, more: np.ndarray) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (60, *more.shape[1:]), dtype=np.uint8)
    table, others = blank_table(tmp_path / "labelled", pixels), tmp_path / "others"
    write_pictures(others, more)
    data = load_dataset(table)
    both = with_unlabelled(data, others)
    assert len(both.unlabelled) == len(data.unlabelled) + len(more)
    assert np.array_equal(both.unlabelled.pixels[: len(data.unlabelled)], data.unlabelled.pixels)


def test_blank_labels_are_left_out_of_an_evaluation_and_refused_in_a_cache(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (60, 1, 12, 12), dtype=np.uint8)
    table = blank_table(tmp_path, pixels)
    found = load_images(table)
    assert len(found.images) == 45
    assert "15 rows with a blank label are left out" in found.warnings
    with pytest.raises(DataError, match="15 rows with a blank label; expected a class for each image of a cache"):
        read_image_folder(table)
