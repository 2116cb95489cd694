"""What several test modules use."""

from pathlib import Path

import torch

from bayescope.runs.files import MODEL, load_tensors


def same_weights(a: Path, b: Path) -> bool:
    first, second = load_tensors(a / MODEL), load_tensors(b / MODEL)
    return first[1] == second[1] and all(torch.equal(first[0][key], second[0][key]) for key in first[0])
