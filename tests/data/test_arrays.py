"""Arrays of images: which axis is what."""

import numpy as np
import pytest

from bayescope.data.arrays import channels_first, check_layout, stacked
from bayescope.errors import DataError


@pytest.mark.parametrize(
    ("shape", "declared", "expected"),
    [
        ((2, 5, 7), None, (2, 1, 5, 7)),
        ((2, 1, 5, 7), None, (2, 1, 5, 7)),
        ((2, 3, 5, 7), None, (2, 3, 5, 7)),
        ((2, 4, 5, 7), None, (2, 4, 5, 7)),
        ((2, 3, 5, 3), None, (2, 3, 5, 3)),
        ((2, 1, 1, 3), None, (2, 1, 1, 3)),
        ((2, 7, 5, 6), (7, 5, 6), (2, 7, 5, 6)),
        ((2, 2, 5, 7), (2, 5, 7), (2, 2, 5, 7)),
        ((2, 8, 3), (1, 8, 3), (2, 1, 8, 3)),
        ((2, 105), (3, 5, 7), (2, 3, 5, 7)),
        ((2, 9), None, (2, 1, 1, 9)),
    ],
)
def test_images_rows_and_declared_channels(
    shape: tuple[int, ...], declared: tuple[int, int, int] | None, expected: tuple[int, ...]
) -> None:
    X = np.arange(np.prod(shape)).reshape(shape)
    found = channels_first(X, declared)
    assert found.shape == expected
    np.testing.assert_array_equal(found.ravel(), X.ravel())


@pytest.mark.parametrize(
    ("shape", "declared", "told"),
    [
        ((90, 28, 28, 3), None, r"X of shape \(90, 28, 28, 3\): looks channels last; .* Use np.moveaxis\(X, -1, 1\)"),
        ((90, 28, 28, 1), None, "looks channels last"),
        ((90, 28, 20, 4), None, "looks channels last"),
        ((90, 2, 28, 1), None, "looks channels last"),
        ((90, 28, 28, 3), (3, 28, 28), "looks channels last"),
        ((90, 28, 28, 28), None, r"looks like volumes.*X\[:, 14\]"),
        ((90, 2, 28, 28), None, r"looks like 2 channels.*image_shape=\(2, 28, 28\)"),
        ((90, 12, 28, 28), None, r"volumes.*image_shape=\(12, 28, 28\)"),
        ((90, 3, 28, 28), (3, 32, 32), r"image_shape says \(3, 32, 32\)"),
        ((90, 28, 28), (3, 28, 28), "image_shape says"),
        ((28, 28, 3), None, r"one colour image.*np.moveaxis\(X, -1, 0\)\[None\]"),
        ((90, 28, 28, 28, 1), None, "slice of each volume"),
        ((90, 1, 28, 28, 28), None, "slice of each volume"),
        ((90,), None, "Give an array of images"),
        ((90, 2352), (28, 28, 3), r"image_shape \(28, 28, 3\): looks channels last.*image_shape=\(3, 28, 28\)"),
        ((90, 2353), (3, 28, 28), "2353 features a row"),
        ((90, 2352), (28, 28), "expected \\(channel, height, width\\)"),
        ((90, 28, 28, 3), (28, 28, 3), "looks channels last"),
    ],
)
def test_other_layouts_are_refused(shape: tuple[int, ...], declared: tuple[int, int, int] | None, told: str) -> None:
    with pytest.raises(DataError, match=told):
        check_layout(shape, declared)


def test_lists_of_images() -> None:
    images = [np.zeros((5, 7)), np.ones((5, 7))]
    assert stacked(images) is images
    packed = np.empty(2, dtype=object)
    packed[:] = images
    assert stacked(packed).shape == (2, 5, 7)
    with pytest.raises(DataError, match=r"2 shapes, \(5, 7\), \(6, 7\); expected one. Resize"):
        stacked([*images, np.zeros((6, 7))])
