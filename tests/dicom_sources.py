"""DICOM instances of many kinds, that objects are made about."""

from collections.abc import Callable
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian

from dicom_files import item

MG, DX, CR = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1"
US, US_FRAMES, US_RETIRED = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.6"
TOMOSYNTHESIS, CAPTURE = "1.2.840.10008.5.1.4.1.1.13.1.3", "1.2.840.10008.5.1.4.1.1.7"


def instance(
    sop_class: str = MG, modality: str = "MG", shape: tuple[int, int] = (48, 32), frames: int = 1, **elements: Any
) -> Dataset:
    """An image instance with elements of patient, study and series; None takes one away."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SpecificCharacterSet = "ISO_IR 100"
    data.SOPClassUID, data.SOPInstanceUID = sop_class, "1.2.826.0.1.3680043.8.498.1"
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3"
    data.StudyDate, data.StudyTime, data.ContentDate, data.ContentTime = "20240301", "101500", "20240301", "101742.5"
    data.AccessionNumber, data.StudyID, data.Modality, data.InstanceNumber = "A17", "S1", modality, 2
    data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "Doe^Jane", "P-1", "19600102", "F"
    data.PatientAge, data.StudyDescription, data.ReferringPhysicianName = "064Y", "Screening", "Roe^Richard"
    data.Rows, data.Columns = shape
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    if frames > 1:
        data.NumberOfFrames = frames
    data.PixelData = np.arange(frames * shape[0] * shape[1], dtype=np.uint16).tobytes()
    with disable_value_validation():
        for name, value in elements.items():
            data.pop(name, None)  # an element keeps how its values are validated
            if value is not None:
                setattr(data, name, value)
    return data


def written(data: Dataset) -> Dataset:
    """The instance as a file gives it back: text still in the bytes of its character set."""
    buffer = DicomBytesIO()
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    data.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


BREAST = item(CodeValue="76752008", CodingSchemeDesignator="SCT", CodeMeaning="Breast")
OPTIONAL = (
    *("StudyDate", "StudyTime", "ContentDate", "ContentTime", "AccessionNumber", "StudyID", "InstanceNumber", "PatientName"),
    *("PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDescription", "ReferringPhysicianName"),
    "SpecificCharacterSet",
)
SOURCES: dict[str, Callable[[], Dataset]] = {
    "mammogram": lambda: instance(
        ImageLaterality="R", PatientOrientation=["P", "FL"], ImagerPixelSpacing=[0.07, 0.07], AnatomicRegionSequence=[BREAST]
    ),
    "mammogram without laterality": lambda: instance(),
    "mammogram with the laterality of its series": lambda: instance(Laterality="L", PixelSpacing=[0.1, 0.1]),
    "radiograph": lambda: instance(DX, "DX", PatientOrientation=["L", "F"], PixelSpacing=[0.15, 0.15]),
    "computed radiograph": lambda: instance(CR, "CR", ViewPosition="PA", BodyPartExamined="CHEST"),
    "with a frame of reference": lambda: instance(
        DX, "DX", FrameOfReferenceUID="1.2.826.0.1.3680043.8.498.9", PixelSpacing=[0.15, 0.15]
    ),
    "ultrasound": lambda: instance(US, "US", BitsStored=12),
    "ultrasound of several frames": lambda: instance(US_FRAMES, "US", frames=3),
    "ultrasound, retired SOP Class": lambda: instance(US_RETIRED, "US"),
    "tomosynthesis": lambda: instance(TOMOSYNTHESIS, "MG", frames=3, ImageLaterality="L"),
    "secondary capture": lambda: instance(CAPTURE, "OT"),
    "no optional attributes": lambda: instance(**dict.fromkeys(OPTIONAL)),
    "empty attributes": lambda: instance(PatientName="", PatientID="", PatientSex="", StudyDate="", StudyTime="", StudyID=""),
    "values against the standard": lambda: instance(PatientSex="f", StudyTime="10:15", PatientBirthDate="1960"),
    "an odd number of pixels": lambda: instance(shape=(47, 33)),
    "orientation, spacing and de-identification against the standard": lambda: instance(
        PatientOrientation="MLO", PixelSpacing=[0, 0], PatientIdentityRemoved="YES"
    ),
    "spacing with many digits": lambda: instance(PixelSpacing=["0.3418803612", "0.3418803612"]),
    "a name of one word": lambda: instance(PatientName="TESTPATIENT", ReferringPhysicianName="Dr. Roe"),
    "umlauts in Latin-1": lambda: instance(PatientName="Müller^Jürgen"),
    "Japanese": lambda: instance(
        SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう", StudyDescription="乳房"
    ),
    "Chinese": lambda: instance(SpecificCharacterSet="GB18030", PatientName="Wang^XiaoDong=王^小东"),
    "UTF-8": lambda: instance(SpecificCharacterSet="ISO_IR 192", PatientName="Νικόλαος^Άννα", ReferringPhysicianName="Ωμέγα"),
}
"""By what is particular to each."""
