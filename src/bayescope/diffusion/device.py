"""Device and precision of tensors, by Lightning Fabric."""

from lightning_fabric import Fabric

from bayescope.config import Config
from bayescope.errors import ConfigError


def open_fabric(config: Config) -> Fabric:
    """Device and precision; ``auto`` takes a GPU when there is one.  Raises ConfigError if the device is not there."""
    try:
        return Fabric(accelerator=config.device, devices=1, precision=config.precision)
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition(". ")[0].rstrip(".!")
        raise ConfigError(
            f"device {config.device!r}: {reason}; expected auto, cpu, or cuda on a machine with a GPU. Give another device"
        ) from None
