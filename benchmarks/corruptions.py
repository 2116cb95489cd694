"""Images as they should not be: six corruptions at three strengths each, on stored pixels of 8 bits.

- inverted: a third, two thirds and all of the way to the negative
- rotated: by 30, 60 and 90 degrees anticlockwise, the corners filled with the edge
- blurred: Gaussian of 1, 2 and 3 pixels
- noisy: Gaussian of 10, 20 and 40 gray levels, drawn from the strength as seed
- blank: contrast lowered to a half, a tenth and none about the mean
- half-masked: a quarter, a third and half of the columns, from the left, black

Nothing but the noise is random, and an image's noise depends on its place in the array alone.
"""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from bayescope.types import Floats, Pixels

STRENGTHS = (1, 2, 3)
_INVERTED, _DEGREES, _BLUR, _NOISE = (1 / 3, 2 / 3, 1.0), (30, 60, 90), (1.0, 2.0, 3.0), (10.0, 20.0, 40.0)
_CONTRAST, _MASKED = (0.5, 0.1, 0.0), (0.25, 1 / 3, 0.5)


def _invert(x: Floats, i: int) -> Floats:
    return x + _INVERTED[i] * (255 - 2 * x)


def _rotate(x: Floats, i: int) -> Floats:
    if _DEGREES[i] == 90 and x.shape[2] == x.shape[3]:  # exact
        return np.rot90(x, axes=(2, 3))
    return ndimage.rotate(x, _DEGREES[i], axes=(3, 2), reshape=False, order=1, mode="nearest")


def _blur(x: Floats, i: int) -> Floats:
    return ndimage.gaussian_filter(x, (0, 0, _BLUR[i], _BLUR[i]))


def _noise(x: Floats, i: int) -> Floats:
    return x + np.random.default_rng(i).normal(0, _NOISE[i], x.shape)


def _blank(x: Floats, i: int) -> Floats:
    mean = x.mean(axis=(2, 3), keepdims=True)
    return mean + _CONTRAST[i] * (x - mean)


def _mask(x: Floats, i: int) -> Floats:
    masked = x.copy()
    masked[..., : round(_MASKED[i] * x.shape[-1])] = 0
    return masked


CORRUPTIONS: dict[str, Callable[[Floats, int], Floats]] = {
    "inverted": _invert,
    "rotated": _rotate,
    "blurred": _blur,
    "noisy": _noise,
    "blank": _blank,
    "half-masked": _mask,
}


def corrupted(pixels: Pixels, name: str, strength: int) -> Pixels:
    """8-bit pixels ``(n, channel, height, width)`` corrupted at a strength of 1 to 3; the same shape and type."""
    changed = CORRUPTIONS[name](pixels.astype(np.float64), strength - 1)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)
