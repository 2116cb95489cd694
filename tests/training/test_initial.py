"""A run started from another: what is taken over, what is not, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bayescope.config import Config, NetConfig
from bayescope.data.dataset import Dataset, ImageSet
from bayescope.diffusion.image_statistics import ImageStatistics
from bayescope.diffusion.networks import build_denoiser
from bayescope.errors import ConfigError, RunError
from bayescope.fitting.fit import fit, fit_run
from bayescope.runs.model_file import load_model
from bayescope.training.initial import start_from, weights_fingerprint
from bayescope.training.loop import Progress
from bayescope.training.sampler import seeded
from conftest import stripes
from helpers import same_weights

NET = NetConfig(widths=(8, 8))


def test_weights_are_taken_over_and_classes_by_name() -> None:
    theirs = build_denoiser(ImageStatistics.blank((1, 8, 8), 3), NET)
    ours = build_denoiser(ImageStatistics.blank((1, 5, 12), 2), NET)
    statistics = ours.variance.clone()  # type: ignore[operator]
    start_from(ours, ("1", "mass"), theirs, ("0", "1", "mass"), seeded(0))
    for key, value in theirs.net.state_dict().items():
        if key != "embedding.label.weight":
            assert torch.equal(ours.net.state_dict()[key], value), key
    before, after = (net.net.embedding.label.weight.detach() for net in (theirs, ours))
    assert torch.equal(after[1], before[2])
    assert torch.equal(after[2], before[3])
    assert 0 < (after[0] - before[3]).abs().max() < 0.12  # a bare number is no name
    assert torch.equal(ours.variance, statistics)
    assert weights_fingerprint(ours) != weights_fingerprint(theirs)


@pytest.mark.parametrize(
    ("channels", "net"), [(3, NET), (1, NetConfig(widths=(8, 16))), (1, NetConfig(kind="paper", widths=(8, 8)))]
)
def test_another_network_is_refused(channels: int, net: NetConfig) -> None:
    theirs = build_denoiser(ImageStatistics.blank((channels, 8, 8), 2), net)
    ours = build_denoiser(ImageStatistics.blank((1, 8, 8), 2), NET)
    with pytest.raises(ConfigError, match=r"expected the same \[net\]"):
        start_from(ours, ("a", "b"), theirs, ("a", "b"), seeded(0))


def larger(images: ImageSet) -> ImageSet:
    return replace(images, class_names=("bright above", "bright below"))


@pytest.fixture(scope="module")
def other_data() -> Dataset:
    sets = (larger(stripes(n, seed, (1, 10, 10))) for n, seed in ((60, 4), (30, 5), (40, 6)))
    return Dataset(*sets, source="larger stripes")


@pytest.mark.slow
def test_a_start_from_a_trained_network_denoises_from_the_first_step(
    other_data: Dataset, tiny_config: Config, tiny_run: Path
) -> None:
    first: dict[str, float] = {}
    for name, init in {"anew": None, "from": load_model(tiny_run)}.items():

        def watch(progress: Progress, name: str = name) -> None:
            first.setdefault(name, progress.losses.denoising.item())

        fit(other_data, tiny_config, watch=watch, init=init)
    assert first["from"] < first["anew"]


@pytest.mark.slow
def test_it_resumes_exactly_and_only_from_the_same(
    other_data: Dataset, tiny_config: Config, tiny_run: Path, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def interrupt(progress: Progress) -> None:
        if progress.state.step == 7:
            raise Stop

    init, run = load_model(tiny_run), tmp_path / "run"
    fit_run(other_data, tiny_config, tmp_path / "whole", init=init)
    with pytest.raises(Stop):
        fit_run(other_data, tiny_config, run, checkpoint_every=5, watch=interrupt, init=init)
    with pytest.raises(RunError, match=r"weights of another run \(\w{12}\), now .* no weights.*give the same --init"):
        fit_run(other_data, tiny_config, run, resume=True)
    fit_run(other_data, tiny_config, run, resume=True, init=init)
    assert same_weights(tmp_path / "whole", run)


def test_the_source_is_left_as_it_was(other_data: Dataset, tiny_config: Config, tiny_run: Path) -> None:
    init = load_model(tiny_run)
    before = weights_fingerprint(init.denoiser)
    model = fit(other_data, tiny_config, init=init)
    assert weights_fingerprint(init.denoiser) == before
    assert model.class_names == other_data.class_names
    assert np.isfinite(model.level_evidence(other_data.test.pixels[:4]).values).all()
