"""The benchmark of the cropped spectrum, on noise: rates of every way, and their ratios in the table."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.store import Store
from benchmarks.tables import crop as table

from bayescope.data.dataset import ImageSet
from benchmarks import crop


@pytest.mark.slow
def test_every_way_is_measured_and_smaller_images_cost_less(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FOLDS": (2,), "RATIOS": (0.0, 1e6), "BATCH": 2, "STEPS": 2, "ROUNDS": 1}.items():
        monkeypatch.setattr(crop, name, value)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 1, 64, 64), dtype=np.uint8)
    whole, cropped = crop.measure(ImageSet(pixels, np.arange(4) % 2, ("a", "b"), tuple("abcd")))
    assert (whole["crop_snr"], whole["cost"], cropped["crop_snr"]) == (0, 1, 1e6)
    assert cropped["cost"] < 0.4
    assert all(row[kind] > 0 for row in (whole, cropped) for kind in ("trained", "scored"))


def test_table_compares_with_the_whole_image_at_the_same_fold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ways = [
        {"fold": 2, "crop_snr": 0.0, "trained": 10.0, "scored": 4.0},
        {"fold": 4, "crop_snr": 0.0, "trained": 20.0, "scored": 8.0},
        {"fold": 4, "crop_snr": 0.05, "trained": 30.0, "scored": 32.0},
    ]
    Store("crop", tmp_path).put("64", ways)
    monkeypatch.setattr(table, "Store", lambda name: Store(name, tmp_path))
    assert "| 64 | 4 | 0.05 | 30.0 | 1.50 | 32.0 | 4.00 |" in table.section()
