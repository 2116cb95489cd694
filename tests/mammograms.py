"""Phantom mammograms, and DICOM files of them."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, RLELossless, generate_uid
from scipy import ndimage


def mammogram(height: int = 480, width: int = 400, *, seed: int = 0, reach: float = 0.6) -> np.ndarray:
    """A 12-bit breast, half an ellipse on the left edge, in textured grey; air is about 20."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    inside = ((rows - 0.5 * height) / (0.4 * height)) ** 2 + (columns / (reach * width)) ** 2 < 1
    texture = ndimage.gaussian_filter(rng.normal(size=(height, width)), 6) * 4000
    return np.where(inside, 1400 + texture, 20 + rng.normal(0, 2, (height, width))).clip(0, 4095).astype(np.uint16)


def write_mammogram(
    path: Path, image: np.ndarray, side: str = "L", view: str = "CC", inverted: bool = False, compressed: bool = False
) -> Path:
    """``image`` of 12 bit as a DICOM file, ``inverted`` as MONOCHROME1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    file.SOPInstanceUID = generate_uid()
    file.file_meta.MediaStorageSOPClassUID, file.file_meta.MediaStorageSOPInstanceUID = file.SOPClassUID, file.SOPInstanceUID
    file.Modality, file.PatientID, file.ImageLaterality, file.ViewPosition = "MG", "nobody", side, view
    file.PresentationIntentType = "FOR PRESENTATION"
    file.Rows, file.Columns = image.shape
    file.SamplesPerPixel, file.PixelRepresentation = 1, 0
    file.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.PixelData = (4095 - image if inverted else image).astype(np.uint16).tobytes()
    file["PixelData"].VR = "OW"
    if compressed:
        file.compress(RLELossless)
    file.save_as(path, enforce_file_format=True)
    return path
