"""Shared fixtures: tiny data sets, a tiny trained run, and the folder of real data."""

import os
import shutil
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import typer.main

from bayescope.cli import output
from bayescope.cli.main import run as main
from bayescope.config import Config, dump_toml, parse_config
from bayescope.data.archives.image_folder import read_image_folder
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.load import load_dataset
from bayescope.data.preparation.mammogram import Preparation
from bayescope.data.preparation.prepare import prepare
from bayescope.engines import local
from bayescope.evaluation.compare.statistics import compare_observers
from bayescope.fitting.fit import fit_run
from bayescope.inference.batch_invariant import batch_invariant
from bayescope.metrics import bootstrap, calibration, classification
from bayescope.runs.model_file import load_model
from bayescope.service import scorers
from mammograms import mammogram, write_mammogram
from services import Orthanc

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

Call = Callable[..., "Told"]
typer.main.get_command = cache(typer.main.get_command)  # they are the same at every call, and slow to put together
scorers.batch_invariant = partial(batch_invariant, sizes=(2, 4))  # type: ignore[assignment]  # all take a second to try
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: processes that share the tests then end together, with quick ones."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the cache of decoded images of whoever runs it."""
    monkeypatch.setenv("BAYESCOPE_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "decoded"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real public data; a missing one skips, or fails where BAYESCOPE_REQUIRE_DATA is set."""
    if not SHARED.is_dir():
        reason = f"real data not found next to the repository ({SHARED.name})"
        if os.environ.get("BAYESCOPE_REQUIRE_DATA"):
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    """A running Orthanc that holds nothing yet."""
    with Orthanc(tmp_path / "orthanc") as archive:
        yield archive


def stripes(n: int, seed: int, shape: tuple[int, int, int] = (1, 8, 12)) -> ImageSet:
    """Two classes told apart by a bright upper or lower half, in 8-bit noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    images = rng.normal(120, 25, (n, *shape))
    half = shape[1] // 2
    images[labels == 0, :, :half] += 40
    images[labels == 1, :, half:] += 40
    return ImageSet(
        images.clip(0, 255).astype(np.uint8),
        labels.astype(np.int64),
        ("upper", "lower"),
        tuple(f"{seed}/{i}.png" for i in range(n)),
    )


@pytest.fixture(scope="session")
def tiny_data() -> Dataset:
    return Dataset(stripes(60, 1), stripes(30, 2), stripes(40, 3), source="stripes")


@pytest.fixture(scope="session")
def tiny_config() -> Config:
    return parse_config(
        {
            "net": {"widths": [8, 8]},
            "training": {"steps": 24, "batch_size": 8, "validate_every": 8, "warmup_steps": 2},
            "evidence": {"levels": 4, "noises": 2, "sigma_min": 0.1, "sigma_max": 2.0},
        }
    )


@pytest.fixture(scope="session")
def tiny_run(tiny_data: Dataset, tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("tiny") / "run"
    fit_run(tiny_data, tiny_config, run)
    return run


@pytest.fixture(scope="session")
def prepared_run(tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a cache of DICOM files, phantom mammograms of two classes."""
    folder = tmp_path_factory.mktemp("prepared")
    for label in ("ill", "well"):
        for i in range(14):
            image = mammogram(24, 16, seed=i)
            write_mammogram(folder / "set" / label / f"{i}.dcm", image, PatientID=f"{label}{i}")
    here = local.LocalEngine()
    prepare(read_image_folder(folder / "set"), Preparation(8), folder / "cache", folder / "set", engine=here)
    fit_run(load_dataset(folder / "cache"), tiny_config, folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def pictures(tiny_data: Dataset) -> list[bytes]:
    """The test images as PNG."""
    from serving import png

    return [png(pixels[0]) for pixels in tiny_data.test.pixels]


@pytest.fixture(scope="session")
def client(tiny_run: Path) -> Iterator["TestClient"]:
    """A client of a service of the tiny run."""
    from serving import client_of

    with client_of(tiny_run) as found:
        yield found


@pytest.fixture
def config_file(tiny_config: Config, tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(dump_toml(tiny_config))
    return path


def write_npz(path: Path, data: Dataset) -> Path:
    """``data`` as a MedMNIST file."""
    arrays = {}
    for name in ("train", "val", "test"):
        split: ImageSet = getattr(data, name)
        arrays[f"{name}_images"] = split.pixels[:, 0] if split.pixels.shape[1] == 1 else np.moveaxis(split.pixels, 1, -1)
        arrays[f"{name}_labels"] = split.labels[:, None].astype(np.uint8)
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def exported_run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run, exported in every format."""
    from bayescope.export import export
    from bayescope.export.formats import FORMATS

    run = Path(shutil.copytree(tiny_run, tmp_path_factory.mktemp("exported") / "run"))
    program = export.trace(load_model(run).denoiser)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "trace", lambda denoiser, half: program)  # the same for every format, and slow
        for kind in FORMATS:
            export.export_run(run, kind)
    return run


@pytest.fixture(scope="session")
def tiny_npz(tiny_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_npz(tmp_path_factory.mktemp("npz") / "stripes.npz", tiny_data)


@pytest.fixture
def few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """One image in each gallery of a report, drawn in few steps."""
    from bayescope.evaluation.report import context
    from bayescope.inference import explain
    from bayescope.inference.trained import TrainedModel

    monkeypatch.setattr(context.choose_cases, "__defaults__", (1,))
    monkeypatch.setattr(TrainedModel.sample, "__defaults__", (2, 0))
    monkeypatch.setattr(explain.counterfactual, "__defaults__", (2, 0, False))


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals from 20 draws: they are there, but coarse."""
    functions = (calibration.assess, classification.measure, classification.measure_classes, compare_observers)
    for function in functions:
        fewer = tuple(20 if value == bootstrap.N_BOOTSTRAP else value for value in function.__defaults__)
        monkeypatch.setattr(function, "__defaults__", fewer)
    monkeypatch.setitem(bootstrap.bootstrap.__kwdefaults__, "n_bootstrap", 20)
    monkeypatch.setattr(calibration.expected_if_calibrated, "__defaults__", (0, 20))


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are prepared in this process, whatever the number of workers: another takes a second to begin."""
    monkeypatch.setattr(local, "_in_processes", lambda workers, make_worker, tasks: map(make_worker(), tasks))


@pytest.fixture
def shrunken_demo(monkeypatch: pytest.MonkeyPatch, few_cases: None) -> None:
    """The demo on 45 images a split and with a small network, with few cases in its report."""
    from bayescope.evaluation import demo

    of_phantom = demo.phantom_config

    def small(*positional: Any, **named: Any) -> Config:
        config = of_phantom(*positional, **named)
        return config.model_copy(update={"net": config.net.model_copy(update={"widths": (8, 8)})})

    monkeypatch.setattr(demo, "phantom_config", small)
    for name in ("DEMO_IMAGES", "_VALIDATION", "_TEST"):
        monkeypatch.setattr(demo, name, 45)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal on which no table is divided and no name shortened."""
    monkeypatch.setattr(output.console, "width", 500)


class Told(NamedTuple):
    """What a command ended with and printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], few_draws: None) -> Call:
    """Runs ``bayescope`` with arguments, in this process, with few draws; never with a traceback."""

    def call(*arguments: object) -> Told:
        monkeypatch.setattr(sys, "argv", ["bayescope", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Told(int(exit_info.value.code or 0), captured.out, captured.err)

    return call
