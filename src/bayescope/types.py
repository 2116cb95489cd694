"""Array types and bounds shared by several layers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
"""Stored pixels, ``(n, channel, height, width)`` or one image without ``n``: uint8, uint16 or float32."""
Labels = NDArray[np.int64]
Floats = NDArray[np.float64]

LARGEST_SEED = 2**32 - 1
"""Of scikit-learn's generators, by which splits are drawn."""
