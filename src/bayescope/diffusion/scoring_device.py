"""The device that scores images, chosen without Lightning Fabric where that is a CPU: Fabric takes a second to import."""

import torch

from bayescope.config import Config


def scoring_device(name: str) -> torch.device:
    """``auto`` takes a GPU when there is one.  Raises ConfigError if the device is not there."""
    if name == "cpu" or (name == "auto" and not _has_accelerator()):
        return torch.device("cpu")
    from bayescope.diffusion.device import open_fabric

    return open_fabric(Config(device=name)).device


def _has_accelerator() -> bool:
    return torch.cuda.is_available() or torch.backends.mps.is_available()
