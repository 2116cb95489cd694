"""Names of the array types that cross floors."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
Labels = NDArray[np.int64]
Floats = NDArray[np.float64]
