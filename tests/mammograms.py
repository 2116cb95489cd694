"""Phantom mammograms, and DICOM files of them."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from scipy import ndimage

_ENCODE = {
    JPEGLosslessSV1: lambda image: imagecodecs.ljpeg_encode(image, bitspersample=12),
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEG2000Lossless: lambda image: imagecodecs.jpeg2k_encode(image, level=0, codecformat="j2k"),
}
SYNTAXES = (ExplicitVRLittleEndian, RLELossless, *_ENCODE)
TWO_WINDOWS = {"WindowCenter": [2048, 900], "WindowWidth": [4096, 300]}
"""The first shows 12 bits as they are, the second few of them."""
PADDED_ROWS = 8


def mammogram(height: int = 480, width: int = 400, *, seed: int = 0, reach: float = 0.6) -> np.ndarray:
    """A 12-bit breast, half an ellipse on the left edge, in textured gray; air is about 20."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    inside = ((rows - 0.5 * height) / (0.4 * height)) ** 2 + (columns / (reach * width)) ** 2 < 1
    texture = ndimage.gaussian_filter(rng.normal(size=(height, width)), 6) * 4000
    return np.where(inside, 1400 + texture, 20 + rng.normal(0, 2, (height, width))).clip(0, 4095).astype(np.uint16)


def write_mammogram(
    path: Path,
    image: np.ndarray,
    side: str = "L",
    view: str = "CC",
    inverted: bool = False,
    syntax: str = ExplicitVRLittleEndian,
    padding: tuple[int, int] | None = None,
    frames: int = 1,
    **elements: Any,
) -> Path:
    """``image`` of 12 bit as a DICOM file, ``inverted`` as MONOCHROME1, its first rows of the lower ``padding`` value stored;
    ``elements`` go into the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = np.ascontiguousarray(4095 - image if inverted else image).astype(np.uint16)
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    file.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    file.SOPInstanceUID = generate_uid()
    file.file_meta.MediaStorageSOPClassUID, file.file_meta.MediaStorageSOPInstanceUID = file.SOPClassUID, file.SOPInstanceUID
    file.Modality, file.PatientID, file.ImageLaterality, file.ViewPosition = "MG", "nobody", side, view
    file.PresentationIntentType = "FOR PRESENTATION"
    file.Rows, file.Columns = image.shape
    file.SamplesPerPixel, file.PixelRepresentation = 1, 0
    file.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    if padding:
        stored[:PADDED_ROWS] = padding[0]
        file.PixelPaddingValue = padding[0]
        if padding[1] != padding[0]:
            file.PixelPaddingRangeLimit = padding[1]
    if frames > 1:
        file.NumberOfFrames = frames
    encode = _ENCODE.get(syntax)
    file.PixelData = encapsulate([encode(stored)] * frames) if encode else stored.tobytes() * frames
    file["PixelData"].VR = "OB" if encode else "OW"
    for name, value in elements.items():
        setattr(file, name, value)
    if syntax == RLELossless:
        file.compress(RLELossless)
    file.save_as(path, enforce_file_format=True)
    return path
