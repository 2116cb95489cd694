from pathlib import Path

from bayescope.data.images import Dataset
from bayescope.data.medmnist import load_npz


def load_dataset(path: Path) -> Dataset:
    return load_npz(path)
