"""Segmentation of the breast in a mammogram: chest-wall side, breast region, labels and scanner borders.

All steps use a copy reduced to about 256 pixels, which is enough for large structures. Bright borders are cut off, Otsu's
threshold on the root of the values separates tissue from air, an opening removes thin bridges, and the largest component is the
breast.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import disk

_COARSE = 256
_OPENING = disk(2)
_MARGIN = disk(3)
"""In coarse pixels: the skin line, which the threshold can miss."""
_BORDER_REACH = 0.1
_BORDER_BRIGHT = 0.8
_SEPARABLE = 0.7
"""Least share of the variance that is between the two sides of the threshold; in a Gaussian, which has none, it is 2/π."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Breast:
    """``box`` (top, left, bottom, right) in pixels of the image; ``chest_wall`` "left", "right", or None where both sides are
    alike; ``mask`` of the breast and a margin, each of its pixels ``step`` by ``step`` of the image's."""

    box: Box
    chest_wall: str | None
    mask: NDArray[np.bool_]
    step: int

    def mask_of(self, box: Box, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """The mask over ``box``, at ``shape`` = (rows, columns)."""
        top, left, bottom, right = (side / self.step for side in box)
        grayscale = Image.fromarray(self.mask.astype(np.float32))
        resized = grayscale.resize((shape[1], shape[0]), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
        return np.asarray(resized) > 0.5


def find_breast(image: Image.Image) -> Breast | None:
    """The breast in an image of mode F, high being bright; None where tissue fills the image, or nothing stands out."""
    step = max(1, round(max(image.size) / _COARSE))
    coarse = np.asarray(image.reduce(step))
    low, high = np.percentile(coarse, [1, 99])
    if not low < high:
        return None
    level = ((coarse - low) / (high - low)).clip(0.0, 1.0)
    inside = _without_borders(level)
    root = np.sqrt(level[inside])
    tissue = root > threshold_otsu(root)
    if _separation(root, tissue) < _SEPARABLE:
        return None
    breast = _largest_piece(ndimage.binary_opening(tissue, _OPENING))
    if not breast.any():
        return None
    mask = np.zeros(coarse.shape, dtype=bool)
    mask[inside] = ndimage.binary_dilation(breast, _MARGIN)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    bottom, right = min((int(rows[-1]) + 1) * step, image.height), min((int(columns[-1]) + 1) * step, image.width)
    return Breast((int(rows[0]) * step, int(columns[0]) * step, bottom, right), _chest_wall(breast), mask, step)


def _without_borders(level: NDArray[np.floating]) -> tuple[slice, slice]:
    """The part inside of the bright lines along the edges of a scanned film."""
    bright = level > _BORDER_BRIGHT
    return _inner(bright.mean(axis=1) > 0.95), _inner(bright.mean(axis=0) > 0.95)


def _inner(is_border: NDArray[np.bool_]) -> slice:
    reach = int(_BORDER_REACH * len(is_border))
    first, last = (np.flatnonzero(end) for end in (is_border[:reach], is_border[::-1][:reach]))
    start, stop = (int(found[-1]) + 2 if len(found) else 0 for found in (first, last))  # the line after may be half border
    return slice(start, len(is_border) - stop)


def _separation(values: NDArray[np.floating], above: NDArray[np.bool_]) -> float:
    """The share of the variance of ``values`` that is between those above and those not: Otsu's η, 0 … 1."""
    share = above.mean()
    if share in (0.0, 1.0):
        return 0.0
    return float(share * (1 - share) * (values[above].mean() - values[~above].mean()) ** 2 / values.var())


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return ndimage.binary_fill_holes(pieces == sizes.argmax()) if sizes.any() else mask


def _chest_wall(breast: NDArray[np.bool_]) -> str | None:
    """The side where the breast is along the edge for longer, or else ends less pointed."""
    edge = max(1, round(0.02 * breast.shape[1]))
    columns = np.flatnonzero(breast.any(axis=0))
    box = breast[:, columns[0] : columns[-1] + 1]
    tip = max(1, round(0.1 * box.shape[1]))
    for part, width in ((breast, edge), (box, tip)):
        left, right = part[:, :width].sum(), part[:, -width:].sum()
        if left != right:
            return "left" if left > right else "right"
    return None
