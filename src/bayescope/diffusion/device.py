"""Device, precision and processes of training, by Lightning Fabric."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch.distributed
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.utilities.exceptions import MisconfigurationException

from bayescope.config import Config
from bayescope.errors import ConfigError, RunError

_OF_COMMUNICATION = ("gloo", "nccl", "peer", "connection", "socket")


def open_fabric(config: Config) -> Fabric:
    """One device, and precision; ``auto`` takes a GPU when there is one.  Raises ConfigError if the device is not there."""
    try:
        return Fabric(accelerator=config.device, devices=1, precision=config.precision)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"device {config.device!r}: {_reason(error)}; expected auto, cpu, or cuda on a machine with a GPU. Give another "
            "device"
        ) from None


def join_processes(config: Config) -> Fabric:
    """All devices of the configuration, each with a process of its own; returns in every one of them.

    Starts the processes of this machine, which run the same command or script up to here, unless `torchrun` or SLURM did.
    Raises ConfigError if a device is not there, or other numbers of processes were started.
    """
    if config.devices == config.nodes == 1 and config.strategy == "auto":
        return open_fabric(config)
    training = config.training
    is_always_used = training.evidence_weight > 0 == training.evidence_from == training.generative_steps
    strategy = DDPStrategy(find_unused_parameters=not is_always_used)
    try:
        fabric = Fabric(
            accelerator=config.device,
            strategy=strategy,
            devices=config.devices,
            num_nodes=config.nodes,
            precision=config.precision,
        )
        fabric.launch()
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"--devices {config.devices}, --nodes {config.nodes} of kind {config.device!r}: {_reason(error)}; expected devices "
            "that are there, one process for each from torchrun or SLURM, and none from an interactive session. Give other "
            "numbers, or start otherwise, see docs/scaling.md"
        ) from None
    return fabric


def check_started_alone(config: Config) -> None:
    """Raise ConfigError if `torchrun` or SLURM started several processes, of which the configuration has only one."""
    for environment, number in ((TorchElasticEnvironment, "WORLD_SIZE"), (SLURMEnvironment, "SLURM_NTASKS")):
        if config.devices == config.nodes == 1 and environment.detect() and (n := int(os.environ[number])) > 1:
            raise ConfigError(
                f"--devices 1, --nodes 1 in one of {n} processes; expected as many. Give --devices N --nodes M, N processes on "
                "each of M machines, or start one process"
            )


def is_first_process() -> bool:
    """Whether this process is the only one, or the first of those that train together: the one that writes files."""
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized() and distributed.get_rank() > 0)


@contextmanager
def other_processes(fabric: Fabric) -> Iterator[None]:
    """Convert the failure of communication with other processes into a RunError."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).lower()
        if fabric.world_size == 1 or not any(word in reason for word in _OF_COMMUNICATION):
            raise
        raise RunError(
            f"process {fabric.global_rank + 1} of {fabric.world_size}: another one ended or cannot be reached "
            f"({_reason(error)}); expected all of them to the end. The last checkpoint is intact: see what the other one said, "
            "and continue with --resume"
        ) from None


def _reason(error: Exception) -> str:
    return str(error).partition(". ")[0].rstrip(".!")
