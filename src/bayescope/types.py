"""Names of the array types that cross layers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
"""Stored pixels, ``(n, channel, height, width)`` or one image without ``n``: uint8, uint16 or float32."""
Labels = NDArray[np.int64]
Floats = NDArray[np.float64]
