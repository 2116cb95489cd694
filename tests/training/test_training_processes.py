"""Several processes train as one: the same losses and weights, one writer, and an end with a clear error if one is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bayescope.config import Config, dump_toml, parse_config
from bayescope.data.dataset import Dataset
from bayescope.runs.files import METRICS, MODEL, STATE, load_tensors
from conftest import stripes, write_npz
from services import free_port
from started import Started

Process = Started | subprocess.Popen[str]
Start = Callable[..., Process]
STEPS = 20
FORKED = """
import signal
from bayescope.cli.main import run
signal.signal(signal.SIGINT, signal.default_int_handler)  # as a terminal starts it
run()
"""
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1", "--master-port=29533")


@pytest.fixture(scope="module")
def start(tiny_npz: Path, tiny_data: Dataset, tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts ``bayescope train`` on as many devices, with all that draws random numbers, and a batch of no even shares."""
    folder = tmp_path_factory.mktemp("processes")
    more = write_npz(folder / "more.npz", replace(tiny_data, train=stripes(25, 7)))
    training = {"batch_size": 7, "validate_every": 1, "label_dropout": 0.3, "generative_steps": 4}
    training |= {"evidence_from": 0.2, "augmentation": "strong"}

    def begin(
        run: Path,
        devices: int,
        *options: object,
        before: tuple[str, ...] = (),
        under: Mapping[str, str] | None = None,
        **settings: object,
    ) -> Process:
        values: dict[str, Any] = tiny_config.model_dump(exclude_none=True)
        values |= {"training": values["training"] | training | settings, "net": values["net"] | {"dropout": 0.3}}
        toml = folder / f"{run.name}.toml"
        toml.write_text(dump_toml(parse_config(values)))
        command = ["train", tiny_npz, "--unlabelled", more, "--out", run, "--config", toml, "--device", "cpu", *options]
        command += ["--devices", devices]
        starts_no_other = under or (devices == 1 and not before)
        if starts_no_other:
            return Started(command, FORKED, ENVIRONMENT | dict(under or {}))
        line = [sys.executable, *before, "-m", "bayescope", *command]
        return subprocess.Popen(
            list(map(str, line)),
            env=ENVIRONMENT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return begin


def together(start: Start, run: Path, devices: int, *options: object, **settings: object) -> list[Process]:
    """Processes as Fabric starts them, each told its number by the environment, without the imports of each."""
    job = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "NODE_RANK": "0", "WORLD_SIZE": str(devices)}
    ranks = [job | {"LOCAL_RANK": str(rank)} for rank in range(devices)]
    return [start(run, devices, *options, under=under, **settings) for under in ranks]


def ended(process: Process) -> str:
    """What a process that went well said."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out + err


def losses(run: Path) -> Mapping[str, np.ndarray]:
    lines = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    return {key: np.array([line[key] for line in lines], dtype=float) for key in lines[0]}


def check_same(run: Path, expected: Path) -> None:
    """Losses after every step, and all of the state, up to the order of sums."""
    found, whole = losses(run), losses(expected)
    assert found["step"].tolist() == whole["step"].tolist() == list(range(1, STEPS + 1))
    for key, values in whole.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-4, atol=1e-5, err_msg=key)
    state, of_whole = (load_tensors(folder / STATE)[0] for folder in (run, expected))
    for key, value in of_whole.items():
        if value.is_floating_point():
            torch.testing.assert_close(state[key], value, rtol=1e-3, atol=2e-5, msg=key)


@pytest.fixture(scope="module")
def alone(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process trained."""
    run = tmp_path_factory.mktemp("alone") / "alone"
    ended(start(run, 1, steps=STEPS))
    return run


@pytest.mark.slow
def test_three_processes_train_as_one(start: Start, alone: Path, tmp_path: Path) -> None:
    """So do two, as Slurm, `torchrun` and a script start them."""
    told = "".join(map(ended, together(start, tmp_path / "run", 3, steps=STEPS)))
    assert told.count("Trained on 60 images") == 1
    check_same(tmp_path / "run", alone)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes_as_torchrun_starts_them(
    start: Start, alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(run, 1, "--checkpoint-every", 1, steps=STEPS)
    wait_for_step(run, 5, process)
    process.kill()
    process.communicate()
    assert not (run / MODEL).exists()
    ended(start(run, 2, "--resume", before=TORCHRUN, steps=STEPS))
    check_same(run, alone)


@pytest.mark.slow
def test_processes_that_slurm_starts_train_as_one(start: Start, alone: Path, tmp_path: Path) -> None:
    """As far as the environment of its tasks goes."""
    job = {"SLURM_JOB_NAME": "train", "SLURM_JOB_ID": "7001", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
    job |= {"SLURM_NNODES": "1", "SLURM_NODEID": "0", "SLURM_NODELIST": "127.0.0.1"}
    tasks = [{"SLURM_PROCID": task, "SLURM_LOCALID": task} for task in "01"]
    processes = [start(tmp_path / "run", 2, under=job | task, steps=STEPS) for task in tasks]
    first, second = map(ended, processes)
    assert "Trained on 60 images" in first
    assert "Trained" not in second
    check_same(tmp_path / "run", alone)


def step_of(run: Path) -> int:
    return int(load_tensors(run / STATE)[0]["step"]) if (run / STATE).exists() else 0


def wait_for_step(run: Path, step: int, process: Process) -> None:
    while step_of(run) < step:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes by /proc")
def test_a_killed_process_ends_the_others_with_a_clear_error_and_the_checkpoint_is_whole(start: Start, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(run, 3, "--checkpoint-every", 1, steps=150)
    wait_for_step(run, 5, process)
    killed, other = children(process.pid)
    os.kill(killed, signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2, err
    assert "process 1 of 3: another one ended" in " ".join(err.split())
    assert err.count("error:") == 1
    while Path(f"/proc/{other}").exists():
        time.sleep(0.01)
    reached = step_of(run)
    assert reached >= 5
    ended(start(run, 1, "--resume", steps=150))
    assert step_of(run) == 150


@pytest.mark.slow
def test_ctrl_c_ends_all_and_says_once_how_to_continue(start: Start, tmp_path: Path) -> None:
    run = tmp_path / "run"
    processes = together(start, run, 2, "--checkpoint-every", 1, steps=150)
    wait_for_step(run, 5, processes[0])
    for process in processes:  # as a terminal does
        process.send_signal(signal.SIGINT)
    errors = [process.communicate(timeout=30)[1] for process in processes]
    assert processes[0].returncode == 130, errors
    assert processes[1].returncode, errors
    err = "".join(errors)
    assert err.count("interrupted") == 1
    assert "continue with the same command and --resume" in " ".join(err.split())
    assert "error:" not in err
    assert step_of(run) >= 5


@pytest.mark.slow
def test_processes_that_were_not_asked_for_are_refused(start: Start, tmp_path: Path) -> None:
    """In the environment that `torchrun` gives the first of two."""
    job = {"TORCHELASTIC_RUN_ID": "none", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29533"}
    ranks = dict.fromkeys(("RANK", "LOCAL_RANK", "GROUP_RANK"), "0") | dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), "2")
    process = start(tmp_path / "run", 1, under=job | ranks)
    err = " ".join(process.communicate(timeout=60)[1].split())
    assert process.returncode
    assert "--devices 1, --nodes 1 in one of 2 processes" in err
    assert not (tmp_path / "run").exists()
