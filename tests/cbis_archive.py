"""CBIS-DDSM on a small scale: tables as published, and pictures in every layout."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

HEAD = {
    "mass": "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,mass margins,"
    "assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path",
    "calc": "patient_id,breast density,left or right breast,image view,abnormality id,abnormality type,calc type,"
    "calc distribution,assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path",
}
UID = "1.3.6.1.4.1.9590.100.1.2."
FULL, CROP, MASK = "full mammogram images", "cropped images", "ROI mask images"


class Lesion:
    """One row of a table, and what its pictures are."""

    def __init__(
        self,
        patient: int,
        pathology: str,
        *,
        table: str = "mass-train",
        side: str = "LEFT",
        view: str = "CC",
        number: int = 1,
    ) -> None:
        kind, part = table.split("-")
        self.table, self.patient, self.number, self.pathology = table, f"P_{patient:05d}", number, pathology
        self.side, self.view = side, view
        self.full = f"{kind.title()}-{'Training' if part == 'train' else 'Test'}_{self.patient}_{side}_{view}"
        self.roi = f"{self.full}_{number}"
        subjects = {"full": self.full, "study": self.full, "crop": self.roi, "mask": self.roi}
        self.series = {what: f"{UID}{crc32(f'{subject} {what}'.encode())}" for what, subject in subjects.items()}
        self.swapped = False

    def swap(self) -> "Lesion":
        self.swapped = True
        return self

    def share_series(self) -> "Lesion":
        self.series["mask"] = self.series["crop"]
        return self

    def row(self) -> str:
        """As published: mixed line ends, a newline in the mask column of masses and in the crop column of calcifications."""
        kind = self.table.split("-")[0]
        study = self.series["study"]
        full = f"{self.full}/{study}/{self.series['full']}/000000.dcm"
        names = ("mask", "crop") if self.swapped else ("crop", "mask")
        paths = [f"{self.roi}/{study}/{self.series[name]}/00000{n}.dcm" for n, name in enumerate(names)]
        paths[kind == "mass"] = f'"{paths[kind == "mass"]}\n"'
        word = {"mass": "mass", "calc": "calcification"}[kind]
        fields = [self.patient, "3", self.side, self.view, self.number, word, "N/A", "N/A", 4, self.pathology, 3, full, *paths]
        return ",".join(map(str, fields)) + ("\r\n" if self.number % 2 else "\n")


def write_tables(folder: Path, lesions: list[Lesion]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for table in ("mass-train", "mass-test", "calc-train", "calc-test"):
        kind, part = table.split("-")
        rows = "".join(lesion.row() for lesion in lesions if lesion.table == table)
        (folder / f"{kind}_case_description_{part}_set.csv").write_bytes((HEAD[kind] + "\r\n" + rows).encode())


def picture(what: str) -> np.ndarray:
    """A mammogram, a crop of it, or a mask as large as the mammogram."""
    if what == "mask":
        mask = np.zeros((40, 30), np.uint8)
        mask[10:20, 8:16] = 255
        return mask
    shape = (40, 30) if what == "full" else (10, 8)
    if what == "saturated":
        return np.full(shape, 60000, np.uint16)
    return np.linspace(2000, 60000, shape[0] * shape[1]).astype(np.uint16).reshape(shape)


def write_dicom(
    path: Path,
    what: str,
    subject: str,
    series: str,
    description: str,
    pixels: np.ndarray | None = None,
    side: str = "L",
    view: str = "CC",
) -> None:
    pixels = picture(what) if pixels is None else pixels
    path.parent.mkdir(parents=True, exist_ok=True)
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = SecondaryCaptureImageStorage
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = generate_uid()
    file.Modality, file.PatientID, file.PatientName = "MG", subject, subject
    file.SeriesInstanceUID, file.SeriesDescription = series, description
    file.PatientOrientation, file.Laterality = view, side
    file.Rows, file.Columns = pixels.shape
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, "MONOCHROME2", 0
    file.BitsAllocated = file.BitsStored = 8 * pixels.itemsize
    file.HighBit = file.BitsStored - 1
    file.PixelData = pixels.tobytes()
    file.save_as(path, enforce_file_format=True)


Place = Callable[[Lesion, str], str]


def nbia_new(lesion: Lesion, what: str) -> str:
    subject = lesion.full if what == "full" else lesion.roi
    number = "1-2" if what == "crop" else "1-1"
    series = FULL if what == "full" else MASK
    return f"CBIS-DDSM/{subject}/08-29-2017-DDSM-NA-12345/1.000000-{series}-54321/{number}.dcm"


def nbia_old(lesion: Lesion, what: str) -> str:
    subject = lesion.full if what == "full" else lesion.roi
    series = FULL if what == "full" else MASK
    return f"CBIS-DDSM/{subject}/10-04-2016-DDSM-30288/1-{series}-34942/00000{int(what == 'mask')}.dcm"


def rest(lesion: Lesion, what: str) -> str:
    return f"{lesion.series[what]}/1-{ {'full': 101, 'crop': 207, 'mask': 208}[what] }.dcm"


def shortened(lesion: Lesion, what: str) -> str:
    return f"download/{crc32(f'{what} {lesion.series[what]}'.encode()):08x}/1-1.dcm"


def write_archive(
    folder: Path,
    lesions: list[Lesion],
    place: Place,
    blank: bool = False,
    draw: Callable[[Lesion, str], np.ndarray] = lambda lesion, what: picture(what),
) -> Path:
    """Tables, and each lesion's mammogram, crop and mask as ``draw`` has them."""
    write_tables(folder, lesions)
    for lesion in lesions:
        for what, description in (("full", FULL), ("crop", CROP), ("mask", MASK)):
            subject = lesion.full if what == "full" else lesion.roi
            about = subject, lesion.series[what], "" if blank else description
            write_dicom(folder / place(lesion, what), what, *about, draw(lesion, what), lesion.side[0], lesion.view)
    return folder


def write_jpegs(folder: Path, lesions: list[Lesion], blank: bool) -> Path:
    """The common JPEG copy, whose ``dicom_info.csv`` leaves some descriptions blank."""
    write_tables(folder / "csv", lesions)
    rows = io.StringIO()
    table = csv.writer(rows)
    table.writerow(["file_path", "image_path", "PatientID", "SeriesDescription", "SeriesInstanceUID"])
    for lesion in lesions:
        for what, description in (("full", FULL), ("crop", CROP), ("mask", MASK)):
            path = f"jpeg/{lesion.series[what]}/{1 + (what == 'crop')}-{len(rows.getvalue()) % 1000:03d}.jpg"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((picture(what) >> (8 if what != "mask" else 0)).astype(np.uint8)).save(folder / path, quality=90)
            table.writerow(["", f"CBIS-DDSM/{path}", lesion.roi, "" if blank else description, lesion.series[what]])
    (folder / "csv" / "dicom_info.csv").write_text(rows.getvalue())
    return folder
