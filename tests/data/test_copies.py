"""Identical pixels and patients are found across splits, whatever files and types hold them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bayescope.data.copies import copy_groups, overlaps, pixel_hashes, unseen_test
from bayescope.data.dataset import Dataset, ImageSet


def pictures(values: list[int], patients: list[str] | None = None, labels: list[int] | None = None) -> ImageSet:
    """Images of one grayscale value each, so that equal values are copies."""
    pixels = np.array(values, np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    names = tuple(f"{i}.png" for i in range(len(values)))
    of_class = np.array(labels if labels is not None else [i % 2 for i in range(len(values))], np.int64)
    return ImageSet(pixels, of_class, ("a", "b"), names, None if patients is None else tuple(patients))


def test_copies_are_known_by_their_values() -> None:
    images = np.arange(48, dtype=np.uint8).reshape(3, 1, 4, 4)
    assert pixel_hashes(images) == pixel_hashes(images.astype(np.uint16))
    assert pixel_hashes(images) == pixel_hashes(images[:, :, :, ::1].copy(order="F"))
    assert pixel_hashes(images) != pixel_hashes(images[:, :, :, ::-1])
    assert set(pixel_hashes(images)).isdisjoint(pixel_hashes(images.reshape(3, 1, 2, 8)))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=15))
def test_groups_are_the_connected_images(pairs: list[tuple[int, int]]) -> None:
    hashes, patients = [f"h{h}" for h, _ in pairs], [f"p{p}" for _, p in pairs]
    groups, copies = copy_groups(hashes, patients)
    assert copies == len(pairs) - len(set(hashes))
    expected = [{i} for i in range(len(pairs))]
    for _ in pairs:
        for i, (h, p) in enumerate(pairs):
            for j, (other_h, other_p) in enumerate(pairs):
                if h == other_h or p == other_p:
                    expected[i] = expected[i] | expected[j]
    assert [{j for j, group in enumerate(groups) if group == mine} for mine in groups] == expected


def test_what_stands_on_both_sides_is_counted() -> None:
    data = Dataset(
        pictures([1, 2, 3], ["P1", "P2", "P3"], [0, 1, 0]),
        pictures([1, 5], ["P4", "P5"], [1, 1]),
        pictures([2, 2, 7], ["P6", "P6", "P3"]),
        source="set",
    )
    told = overlaps(data)
    assert "1 of 2 val images have pixels identical to an image in train" in told
    assert "2 of 3 test images have pixels identical to an image in train" in told
    assert "1 of 3 test images are of patients who are also in train" in told
    assert "images with several labels: 2" in told


def test_separate_splits_are_not_told_of() -> None:
    data = Dataset(pictures([1, 1, 2]), pictures([3, 4]), pictures([5, 6]), source="set")
    assert overlaps(data) == ["images with several labels: 1"]
    assert unseen_test(data) is data


def test_compare_measures_no_test_image_that_was_seen() -> None:
    data = Dataset(
        pictures([1, 2], ["P1", "P2"]),
        pictures([3, 4], ["P3", "P4"]),
        pictures([1, 3, 8, 9], ["X", "Y", "P2", "Z"]),
        source="set",
    )
    left = unseen_test(data)
    assert left.test.names == ("3.png",)
    assert left.warnings == (
        "left out: 2 test images identical to one in training or validation, and 1 more of patients there",
    )
