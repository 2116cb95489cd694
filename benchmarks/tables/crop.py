"""Speed with the spectrum cropped and whole."""

from typing import Any

from benchmarks.store import Store
from benchmarks.tables.markdown import table

HEADER = ("side, px", "stem folds", "crop_snr", "images/s trained on", "over uncropped", "images/s scored", "over uncropped")


def section() -> list[str]:
    """Every size measured."""
    measured = sorted(Store("crop").rows().items(), key=lambda item: int(item[0]))
    rows = [[size, *cells] for size, ways in measured for cells in (_cells(way, ways) for way in ways)]
    lines = ["## Cropped spectrum", "", "    python -m benchmarks crop --data FOLDER", ""]
    lines += [
        "Default networks on chest X-rays, one thread. Trained: whole steps of 16 images with the evidence loss, log σ ~ "
        "N(-1.4, 1). Scored: 8 levels from 0.05 to 3 under both classes. `net.crop_snr` 0 shows the network the whole image at "
        "every noise level; ratios are to that at the same fold, measured in turns.",
        "",
    ]
    return [*lines, *table(HEADER, rows)]


def _cells(way: dict[str, float], ways: list[dict[str, Any]]) -> list[str]:
    whole = next(other for other in ways if other["fold"] == way["fold"] and other["crop_snr"] == 0)
    rates = (cell for kind in ("trained", "scored") for cell in (f"{way[kind]:.1f}", f"{way[kind] / whole[kind]:.2f}"))
    return [f"{way['fold']:.0f}", f"{way['crop_snr']:g}", *rates]
