"""The three mammography archives on a small scale, with phantom mammograms: what a recipe's commands run on.

Right breasts, both views, MONOCHROME1, several windows, padding, every kind of compression, images FOR PROCESSING, a broken
file, one of two frames, a row without its file; the sick ones bear a bright mass.
"""

import plistlib
from pathlib import Path
from typing import Any

import numpy as np

from cbis_archive import Lesion, nbia_new, write_archive
from mammograms import SYNTAXES, TWO_WINDOWS, mammogram, write_mammogram

MASS = slice(50, 66), slice(12, 28)
BREASTS = "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split"
FINDINGS = BREASTS.replace(",split", "") + ",finding_categories,finding_birads,xmin,ymin,xmax,ymax,split"


BROKEN = {"cbis_ddsm": 1, "inbreast": 1, "vindr": 2}
"""Files of each that cannot be prepared."""
FOR_PROCESSING_STUDIES = (8, 9)


def traps(number: int) -> dict[str, Any]:
    """How the mammograms of a patient lie in their files: each trap comes with each other sooner or later."""
    about: dict[str, Any] = {"inverted": number % 3 == 0, "syntax": SYNTAXES[number % len(SYNTAXES)]}
    if number % 4 in (1, 2):
        about |= TWO_WINDOWS
    if number % 7 in (3, 4):
        about["padding"] = (0, 0) if number % 2 else (0, 5)
    return about


def phantom(seed: int, sick: bool) -> np.ndarray:
    """120 by 90 pixels of 12 bits."""
    image = mammogram(120, 90, seed=seed)
    if sick:
        image[MASS] = 3900
    return image


def write_cbis_ddsm(folder: Path, patients: int = 44) -> Path:
    """Masses as the NBIA tools lay them out: crop and mask in one folder, some columns swapped; every fourth is for test."""
    lesions = []
    for patient in range(1, patients + 1):
        table = "mass-test" if patient % 4 == 0 else "mass-train"
        where = {"side": ("LEFT", "RIGHT")[patient // 3 % 2], "view": ("CC", "MLO")[patient // 5 % 2]}
        lesion = Lesion(patient, "MALIGNANT" if patient // 4 % 2 else "BENIGN", table=table, **where)
        lesions.append(lesion.swap() if patient % 5 == 0 else lesion.share_series())

    def draw(lesion: Lesion, what: str) -> np.ndarray:
        image = phantom(int(lesion.patient[2:]), lesion.pathology == "MALIGNANT") * np.uint16(16)
        if what == "mask":
            image = np.zeros(image.shape, np.uint8)
            image[MASS] = 255
        elif what == "crop":
            image = image[40:76, 4:40]
        return image[:, ::-1] if lesion.side == "RIGHT" else image

    write_archive(folder, lesions, nbia_new, draw=draw)
    broken = folder / nbia_new(lesions[0], "crop")
    broken.write_bytes(broken.read_bytes()[:-100])
    (folder / nbia_new(lesions[1], "crop")).unlink()
    return folder


def write_inbreast(folder: Path, patients: int = 40) -> Path:
    """Two views of each patient; category 4a and 5 for the sick, an outline for each of them."""
    release = folder / "INbreast Release 1.0"
    (release / "AllXML").mkdir(parents=True)
    lines = ["Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"]
    for patient in range(patients):
        sick, side = patient % 2 == 1, "LR"[patient // 2 % 2]
        for view in ("CC", "MLO"):
            name = str(20586900 + len(lines))
            image = phantom(patient, sick)[:, :: -1 if side == "R" else 1]
            path = release / "AllDICOMs" / f"{name}_6c613a14b80a{patient:04x}_MG_{side}_{view}_ANON.dcm"
            write_mammogram(path, image, side, view, **traps(patient))
            category = ("4a", "5")[patient // 2 % 2] if sick else "1"
            lines.append(f"removed;removed;{side};{view};201001;{name};2;{category}")
            if sick:
                roi = {"Name": "Mass", "NumberOfPoints": 2, "Point_px": ["(12, 50)", "(28, 66)"]}
                (release / "AllXML" / f"{name}.xml").write_bytes(plistlib.dumps({"Images": [{"ROIs": [roi]}]}))
    path.write_bytes(path.read_bytes()[:900])
    lines.append("removed;removed;L;CC;201001;99999999;2;1")
    (release / "INbreast.csv").write_bytes("\r\n".join([*lines, ""]).encode())
    return folder


def write_vindr(folder: Path, studies: int = 36) -> Path:
    """Two breasts a study; odd studies are sick; every fourth pair of studies is for test."""
    breasts, findings = [BREASTS], [FINDINGS]
    for study in range(studies):
        sick, split = study % 2 == 1, "test" if study // 2 % 4 == 3 else "training"
        for side in "LR":
            image = phantom(2 * study + (side == "R"), sick)[:, :: -1 if side == "R" else 1]
            name = f"{study:030x}{'ab'[side == 'R']}0"
            path = folder / "images" / f"study{study}" / f"{name}.dicom"
            intent = "FOR PROCESSING" if study in FOR_PROCESSING_STUDIES else "FOR PRESENTATION"
            frames = 2 if (study, side) == (6, "R") else 1
            write_mammogram(path, image, side, **traps(study), frames=frames, PresentationIntentType=intent)
            about = f"study{study},series,{name},{side},CC,120,90,BI-RADS {5 if sick else 1},DENSITY B"
            breasts.append(f"{about},{split}")
            if sick:
                columns = "12,50,28,66" if side == "L" else "62,50,78,66"
                findings.append(f"{about},\"['Mass']\",BI-RADS 5,{columns},{split}")
    broken = folder / "images" / "study2" / f"{2:030x}a0.dicom"
    broken.write_bytes(broken.read_bytes()[:900])
    breasts.append("lost,series,lost,L,CC,120,90,BI-RADS 1,DENSITY B,training")
    (folder / "breast-level_annotations.csv").write_text("\n".join(breasts))
    (folder / "finding_annotations.csv").write_text("\n".join(findings))
    return folder
