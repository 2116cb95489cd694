"""Evidence lands on the pixels of the source that it belongs to, whatever preparation does to the image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.preparation.workers import prepare_file
from bayescope.dicom import evidence_capture, evidence_on_source, evidence_segmentation, read_source
from bayescope.dicom.evidence import on_original_grid
from bayescope.inference.evidence_maps import EvidenceMap
from dicom_evidence import MODEL, explanation
from mammograms import mammogram, write_mammogram

SPOT = (170, 60)
"""Row and column, of a breast on the left edge, of something bright: off every axis of symmetry."""


def breast_with_a_spot(height: int = 480, width: int = 400) -> np.ndarray:
    image = mammogram(height, width).astype(np.int64) // 4
    rows, columns = np.mgrid[:height, :width]
    image += (3000 * np.exp(-((rows - SPOT[0]) ** 2 + (columns - SPOT[1]) ** 2) / (2 * 12**2))).astype(np.int64)
    return image.clip(0, 4095).astype(np.uint16)


def centre(values: np.ndarray) -> np.ndarray:
    """Centre (row, column) of what is over half of the maximum."""
    return np.argwhere(values > values.max() / 2).mean(axis=0)


PREPARATIONS = {
    "cropped and flipped": Preparation(64),
    "not cropped": Preparation(64, crop=False),
    "not flipped": Preparation(64, orient=False),
    "neither": Preparation(64, crop=False, orient=False),
    "enlarged": Preparation(600),
}


@pytest.mark.parametrize("preparation", PREPARATIONS.values(), ids=PREPARATIONS)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pixel_aspect", [1.0, 1.5])
def test_a_bright_spot_comes_back_to_its_place(preparation: Preparation, side: str, pixel_aspect: float) -> None:
    """The prepared picture itself serves as the map."""
    image, place = breast_with_a_spot(), np.array(SPOT, dtype=float)
    if side == "right":
        image, place[1] = image[:, ::-1], image.shape[1] - 1 - SPOT[1]
    prepared = preparation.apply(image, pixel_aspect=pixel_aspect)
    assert prepared.record.flipped == (preparation.orient and side == "right")
    found = on_original_grid(prepared.pixels.astype(float), prepared.record)
    assert found.shape == image.shape
    pixel = 1 / min(prepared.record.scale)
    np.testing.assert_allclose(centre(found), place, atol=max(1.0, pixel))


@pytest.mark.parametrize("side", ["L", "R"])
def test_a_bright_spot_comes_back_in_picture_and_segmentation(side: str, tmp_path: Path) -> None:
    """From the file of a breast, through preparation, to the pixels of both objects."""
    image, place = breast_with_a_spot(), np.array(SPOT)
    if side == "R":
        image, place[1] = image[:, ::-1], image.shape[1] - 1 - SPOT[1]
    path = write_mammogram(tmp_path / "a.dcm", image, side=side, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4")
    pixels, done = prepare_file(path, Preparation(64))
    found = evidence_on_source(path, replace(explanation(), evidence_map=as_map(pixels)), done.record)
    segmentation = evidence_segmentation(read_source(path), found, MODEL)
    segmented = np.unravel_index(segmentation.pixel_array.argmax(), image.shape)
    np.testing.assert_allclose(segmented, place, atol=8)
    capture = evidence_capture(read_source(path), found, MODEL).pixel_array.astype(int)
    zoom = capture.shape[1] // image.shape[1]
    orange = (capture[..., 0] - capture[..., 2])[: zoom * image.shape[0]]
    np.testing.assert_allclose(centre(orange) / zoom, place, atol=8)


def as_map(pixels: np.ndarray) -> EvidenceMap:
    """The brightness of a prepared picture in the place of its evidence."""
    return EvidenceMap(pixels[None, None].astype(float), np.zeros(1))


def test_nothing_lies_outside_of_what_was_kept() -> None:
    prepared = Preparation(64).apply(breast_with_a_spot())
    found = on_original_grid(np.ones((64, 64)), prepared.record)
    top, left, bottom, right = prepared.record.box
    kept = np.zeros(found.shape, dtype=bool)
    kept[top:bottom, left:right] = True
    np.testing.assert_allclose(found, kept)


@settings(max_examples=40, deadline=None)
@given(st.integers(20, 90), st.integers(20, 90), st.booleans(), st.integers(8, 60), st.integers(0, 2**32 - 1))
def test_a_linear_map_comes_back_exactly(height: int, width: int, right: bool, size: int, seed: int) -> None:
    """Interpolation of values that rise linearly is exact away from the edges of what was kept."""
    image = np.random.default_rng(seed).integers(0, 4096, (height, width)).astype(np.uint16)
    record = Preparation(size, crop=False).apply(image[:, ::-1] if right else image).record
    rows, columns = np.mgrid[:size, :size] + 0.5
    place = record.to_original(np.stack([rows, columns], axis=-1))
    found = on_original_grid(3 * place[..., 0] - 2 * place[..., 1] + 7, record)
    rows, columns = np.mgrid[:height, :width] + 0.5
    half = 0.5 / np.array(record.scale) + 1e-9
    inner = (rows > half[0]) & (rows < height - half[0]) & (columns > half[1]) & (columns < width - half[1])
    np.testing.assert_allclose(found[inner], (3 * rows - 2 * columns + 7)[inner], atol=1e-8)
