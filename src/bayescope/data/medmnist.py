"""MedMNIST's .npz files (placeholder reader is replaced by the full one)."""

from pathlib import Path

import numpy as np

from bayescope.data.images import Dataset, ImageSet


def load_npz(path: Path) -> Dataset:
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    names = tuple(str(k) for k in range(int(arrays["train_labels"].max()) + 1))
    splits = []
    for split in ("train", "val", "test"):
        pixels = arrays[f"{split}_images"]
        pixels = pixels[:, None] if pixels.ndim == 3 else np.moveaxis(pixels, -1, 1)
        labels = arrays[f"{split}_labels"].reshape(-1).astype(np.int64)
        splits.append(ImageSet(pixels, labels, names, tuple(f"{split}/{i}" for i in range(len(labels)))))
    return Dataset(*splits, source=path.name)
