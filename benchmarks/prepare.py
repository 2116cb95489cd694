"""How fast an archive of full-field mammograms is prepared, and in how much memory, compared with a plain loop.

    python -m benchmarks prepare                # 2,000 files; some minutes
    python -m benchmarks prepare --files 20     # a glance

Phantom breasts of 3328 by 2560 pixels and 12 bits, as DICOM files: both sides, one in four MONOCHROME1, one in eight RLE, one
in eight JPEG 2000, the rest uncompressed.  2,000 of them would take 30 GB, so eight distinct files stand under hard links for
all: names, tables and work are those of an archive, but reading comes from the system's cache, for both.

``bayescope prepare folder`` runs as its own command on two processes; the memory is that of its whole process tree, sampled
from /proc ten times a second: resident pages added up (shared ones counted in each process) and proportional ones.  The
plain loop, one process, does the same with pydicom and scikit-image on the whole image: LUTs, inversion, Otsu's threshold,
the largest piece, crop, flip, antialiased resize, 16 bits.  Kept in benchmarks/results/prepare.jsonl.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.transform import resize

from benchmarks.store import RESULTS, Store

SHAPE = (3328, 2560)
DISTINCT = 8
PLAIN_FILES = 40
COMPRESSION = {5: RLELossless, 7: JPEG2000Lossless}
SECONDS_BETWEEN_SAMPLES = 0.1


def breast(seed: int) -> np.ndarray:
    """Half an ellipse of textured tissue at the left edge, air of about 20, 12 bits."""
    rng = np.random.default_rng(seed)
    height, width = SHAPE
    rows, columns = np.ogrid[:height, :width]
    inside = ((rows / height - 0.5) / rng.uniform(0.3, 0.45)) ** 2 + (columns / width / rng.uniform(0.4, 0.7)) ** 2 < 1
    coarse = ndimage.gaussian_filter(rng.normal(size=(height // 8, width // 8)), 2) * 2500
    texture = np.kron(coarse, np.ones((8, 8))) + rng.normal(0, 30, SHAPE)
    return np.where(inside, 1600 + texture, rng.normal(20, 2, SHAPE)).clip(0, 4095).astype(np.uint16)


def write(path: Path, seed: int) -> None:
    """One of the distinct files."""
    right, inverted, image = seed % 2 == 1, seed % 4 == 2, breast(seed)
    image = image[:, ::-1] if right else image
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID, file.SOPInstanceUID = DigitalMammographyXRayImageStorageForPresentation, generate_uid()
    file.file_meta.MediaStorageSOPClassUID, file.file_meta.MediaStorageSOPInstanceUID = file.SOPClassUID, file.SOPInstanceUID
    file.Modality, file.PatientID, file.ImageLaterality, file.ViewPosition = "MG", "nobody", "R" if right else "L", "CC"
    file.Rows, file.Columns = SHAPE
    file.SamplesPerPixel, file.PixelRepresentation = 1, 0
    file.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.WindowCenter, file.WindowWidth = 2048, 4096
    file.PixelData = (4095 - image if inverted else np.ascontiguousarray(image)).tobytes()
    file["PixelData"].VR = "OW"
    if seed in COMPRESSION:
        file.compress(COMPRESSION[seed], generate_instance_uid=False)
    file.save_as(path, enforce_file_format=True)


def write_archive(folder: Path, n: int) -> list[Path]:
    """Two class folders of ``n`` names in all."""
    distinct = folder / "distinct"
    distinct.mkdir(parents=True)
    for seed in range(DISTINCT):
        write(distinct / f"{seed}.dcm", seed)
    paths = [folder / "archive" / ("mass", "normal")[i % 2] / f"{i:05d}.dcm" for i in range(n)]
    for i, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(distinct / f"{i % DISTINCT}.dcm", path)
    return paths


def plainly(path: Path, size: int) -> np.ndarray:
    """What the loop does to one file."""
    file = pydicom.dcmread(path)
    image = apply_voi_lut(apply_modality_lut(file.pixel_array, file), file).astype(np.float32)
    if file.PhotometricInterpretation == "MONOCHROME1":
        image = image.max() + image.min() - image
    pieces = label(image > threshold_otsu(image))
    largest = max(regionprops(pieces), key=lambda piece: piece.area)
    top, left, bottom, right = largest.bbox
    image = np.where(pieces == largest.label, image, image.min())[top:bottom, left:right]
    if left > file.Columns - right:
        image = image[:, ::-1]
    scale = size / max(image.shape)
    small = resize(image, [max(1, round(side * scale)) for side in image.shape], anti_aliasing=True)
    low, high = np.percentile(small, [0.1, 99.9])
    square = np.zeros((size, size), np.uint16)
    square[: small.shape[0], : small.shape[1]] = np.rint(((small - low) / (high - low)).clip(0, 1) * 65535)
    return square


class Memory(threading.Thread):
    """Peaks of a process and all its children, MiB."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.resident, self.proportional = pid, 0.0, 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(SECONDS_BETWEEN_SAMPLES):
            found = [memory_of(pid) for pid in tree(self.pid)]
            self.resident = max(self.resident, sum(resident for resident, _ in found) / 2**10)
            self.proportional = max(self.proportional, sum(proportional for _, proportional in found) / 2**10)


def memory_of(pid: int) -> tuple[int, int]:
    """Resident and proportional pages, KiB; none once the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0, 0
    values = {name: int(rest.split()[0]) for name, rest in (line.split(":", 1) for line in lines)}
    return values.get("Rss", 0), values.get("Pss", 0)


def tree(pid: int) -> list[int]:
    """The process and all that descend from it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def measure(folder: Path, n: int, size: int, workers: int) -> dict[str, object]:
    """Both, on the same archive."""
    paths = write_archive(folder, n)
    out = folder / "cache"
    command = ["prepare", "folder", folder / "archive", "--size", size, "--out", out, "--workers", workers, "--json"]
    start = [sys.executable, "-c", "from bayescope.cli.main import run; run()", *map(str, command)]
    began = time.perf_counter()
    process = subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    memory = Memory(process.pid)
    memory.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - began
    memory.ended.set()
    memory.join()
    if process.returncode:
        raise SystemExit(f"prepare ended with {process.returncode}: {output}")
    few = paths[:PLAIN_FILES]
    began = time.perf_counter()
    for path in few:
        plainly(path, size)
    plain_seconds = time.perf_counter() - began
    return {
        "files": n,
        "distinct_files": min(n, DISTINCT),
        "height": SHAPE[0],
        "width": SHAPE[1],
        "size": size,
        "workers": workers,
        "images": json.loads(output)["images"],
        "seconds": seconds,
        "files_per_second": n / seconds,
        "peak_resident_mib": memory.resident,
        "peak_proportional_mib": memory.proportional,
        "plain_files": len(few),
        "plain_files_per_second": len(few) / plain_seconds,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to put the archive, removed afterwards (default: the system's)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the rows")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        record = measure(Path(folder), args.files, args.size, args.workers)
    Store("prepare", args.results).put("all", record)
    print(json.dumps(record, indent=1))
