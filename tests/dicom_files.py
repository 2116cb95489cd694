"""Small DICOM files, written to a header."""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian

STORED = np.random.default_rng(0).integers(0, 2**12, (6, 9)).astype(np.uint16)


def write(path: Path, pixels: np.ndarray = STORED, bits: int = 12, frames: list[bytes] | None = None, **elements: Any) -> Path:
    """A mammogram of these stored pixels, or of these encoded frames, with the header changed by ``elements``."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = elements.pop("syntax", ExplicitVRLittleEndian)
    data.SOPClassUID, data.SOPInstanceUID, data.Modality = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3", "MG"
    data.Rows, data.Columns = pixels.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 8 * pixels.itemsize, bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = encapsulate(frames) if frames else pixels.tobytes()
    for name, value in elements.items():
        setattr(data, name, value) if value is not None else delattr(data, name)
    data.save_as(path, enforce_file_format=True)
    return path


def lut(entries: list[int], first: int, bits: int) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.add_new("LUTData", "US", entries)
    return item


def item(**elements: Any) -> Dataset:
    """A data set of these elements, to be one of a sequence."""
    found = Dataset()
    for name, value in elements.items():
        setattr(found, name, value)
    return found
