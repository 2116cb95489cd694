"""How processes are joined and told apart, and what their failures become."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch.distributed

from bayescope.config import Config, parse_config
from bayescope.diffusion.device import check_started_alone, is_first_process, join_processes, other_processes
from bayescope.errors import ConfigError, RunError

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "LOCAL_RANK": "1"}
SLURM = {"SLURM_JOB_NAME": "train", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0"}


@pytest.mark.parametrize(("environment", "number"), [(TORCHRUN, "WORLD_SIZE"), (SLURM, "SLURM_NTASKS")])
def test_one_device_in_one_of_several_processes_is_refused(
    environment: Mapping[str, str], number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv(number, "1")
    check_started_alone(Config())
    monkeypatch.setenv(number, "2")
    with pytest.raises(ConfigError, match="in one of 2 processes"):
        check_started_alone(Config())
    check_started_alone(Config(devices=2))
    check_started_alone(Config(nodes=2))


@pytest.mark.parametrize(
    ("environment", "devices", "nodes"),
    [
        (TORCHRUN | {"WORLD_SIZE": "3"}, 2, 1),
        (SLURM | {"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "2"}, 2, 1),
        (SLURM | {"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "2"}, 4, 2),
    ],
)
def test_numbers_that_do_not_fit_those_started_are_refused(
    environment: Mapping[str, str], devices: int, nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(ConfigError, match=f"--devices {devices}, --nodes {nodes} of kind 'cpu': You set"):
        join_processes(Config(device="cpu", devices=devices, nodes=nodes))


@pytest.mark.parametrize(
    ("training", "may_be_unused"),
    [({}, False), ({"evidence_from": 0.5}, True), ({"evidence_weight": 0.0}, True), ({"generative_steps": 2}, True)],
)
def test_parameters_that_a_step_may_leave_unused_are_looked_for_only_then(
    training: dict[str, Any], may_be_unused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning_fabric.Fabric.launch", lambda fabric: None)
    fabric = join_processes(parse_config({"device": "cpu", "devices": 2, "training": training}))
    assert fabric.strategy._ddp_kwargs["find_unused_parameters"] == may_be_unused


def test_the_first_process_is_the_one_of_rank_zero_or_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_first_process()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    for rank, is_first in ((0, True), (1, False)):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        assert is_first_process() == is_first


@pytest.mark.parametrize(
    ("processes", "message", "expected"),
    [
        (2, "[gloo/transport/tcp/pair.cc:598] Connection closed by peer [127.0.0.1]:1234", RunError),
        (2, "NCCL error in: ProcessGroupNCCL.cpp:77, remote process exited", RunError),
        (2, "CUDA out of memory", RuntimeError),
        (1, "Connection closed by peer", RuntimeError),
    ],
)
def test_only_failures_of_communication_are_blamed_on_other_processes(
    processes: int, message: str, expected: type[Exception]
) -> None:
    fabric: Any = SimpleNamespace(world_size=processes, global_rank=1)
    with pytest.raises(expected) as raised, other_processes(fabric):
        raise RuntimeError(message)
    assert type(raised.value) is expected
    assert message.partition(". ")[0] in str(raised.value)
    if expected is RunError:
        assert str(raised.value).startswith("process 2 of 2: another one ended")
