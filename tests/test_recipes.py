"""The recipes are configurations, and the published one trains, is kept and scores as it says."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from bayescope.config import Config, TrainingConfig, dump_toml, parse_config, read_config
from bayescope.data.dataset import Dataset
from bayescope.diffusion.denoiser import EpsilonDenoiser
from bayescope.diffusion.schedules import VP
from bayescope.errors import ConfigError
from bayescope.fitting.fit import fit, fit_run
from bayescope.runs.files import MODEL, load_tensors
from bayescope.runs.model_file import load_model
from bayescope.training.augmentation import Flip, build_augmentation
from bayescope.training.learning_rate import learning_rate
from bayescope.training.loop import Progress
from bayescope.training.losses import draw_levels
from bayescope.training.sampler import seeded
from conftest import stripes

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
PAPER = RECIPES / "paper" / "paper.toml"
README = RECIPES / "paper" / "README.md"


def tiny_paper(steps: int) -> Config:
    """The paper's recipe with small widths, few steps and a rate to match."""
    values = tomllib.loads(PAPER.read_text())
    values |= {"device": "cpu", "size": 16, "evidence": values["evidence"] | {"levels": 3, "noises": 1}}
    values["net"] |= {"widths": [8, 16, 16]}
    values["training"] |= {"steps": steps, "batch_size": 8, "learning_rate": 3e-3, "decay_epochs": 3, "validate_every": 10}
    return parse_config(values)


@pytest.fixture(scope="module")
def data() -> Dataset:
    shape = (1, 16, 16)
    return Dataset(stripes(40, 1, shape), stripes(20, 2, shape), stripes(20, 3, shape), source="stripes")


@pytest.fixture(scope="module")
def paper_run(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress]]:
    run = tmp_path_factory.mktemp("paper") / "run"
    heard: list[Progress] = []
    fit_run(data, tiny_paper(60), run, watch=heard.append)
    return run, heard


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.toml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_recipe_is_a_configuration_that_survives_writing(path: Path, tmp_path: Path) -> None:
    config = read_config(path)
    (tmp_path / "again.toml").write_text(dump_toml(config))
    assert read_config(tmp_path / "again.toml") == config


def test_paper_recipe_trains_to_a_falling_loss(paper_run: tuple[Path, list[Progress]]) -> None:
    losses = np.array([progress.losses.denoising.item() for progress in paper_run[1]])
    assert np.isfinite(losses).all()
    assert losses[0] == pytest.approx(1.0, abs=0.1)
    assert losses[-15:].mean() < 0.6 * losses[:5].mean()


def test_saved_paper_model_gives_the_same_evidence(paper_run: tuple[Path, list[Progress]], data: Dataset) -> None:
    run, heard = paper_run
    model = load_model(run)
    trained = heard[-1].state.ema
    assert isinstance(model.denoiser, EpsilonDenoiser)
    x = torch.from_numpy(model.scale.to_model(data.test.pixels[:4]))
    sigma = torch.tensor([0.05, 0.3, 1.0, 4.0])
    assert torch.equal(model.denoiser.under_every_class(x, sigma), trained.under_every_class(x, sigma))
    again = load_model(run).level_evidence(data.test.pixels)
    np.testing.assert_array_equal(model.level_evidence(data.test.pixels).values, again.values)


def test_interrupted_paper_run_ends_with_the_same_weights(data: Dataset, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def interrupt(progress: Progress) -> None:
        if progress.state.step == 7:
            raise Stop

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit_run(data, tiny_paper(12), whole)
    with pytest.raises(Stop):
        fit_run(data, tiny_paper(12), broken, checkpoint_every=5, watch=interrupt)
    fit_run(data, tiny_paper(12), broken, resume=True, checkpoint_every=5)
    first, second = load_tensors(whole / MODEL)[0], load_tensors(broken / MODEL)[0]
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.slow
def test_the_published_estimator_as_the_readme_gives_it(paper_run: tuple[Path, list[Progress]], data: Dataset) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    names = {"run": paper_run[0], "images": data.test.pixels[:1]}
    exec(code, names)
    likelihood = names["likelihood"]
    assert np.isfinite(likelihood.log_likelihood).all()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(names["predicted"], likelihood.log_likelihood.argmax(axis=1))  # type: ignore[attr-defined]


def test_the_papers_flow_is_the_one_its_readme_decides() -> None:
    """The VP diffusion's own range, in the file as in the README's code; RK45 at 1e-5 and one probe of random signs."""
    flow, text = read_config(PAPER).flow, README.read_text()
    (times,) = re.findall(r"VP\(\)\.sigma\(torch\.tensor\(\[(.*?)\]\)\)", text)
    ends = VP(beta_min=0.1, beta_max=20.0).sigma(torch.tensor([float(t) for t in times.split(",")], dtype=torch.float64))
    np.testing.assert_allclose([flow.sigma_min, flow.sigma_max], ends, rtol=1e-7)
    assert times == "1e-5, 1.0"
    assert (flow.solver, flow.tolerance, flow.trace, flow.probes) == ("adaptive", 1e-5, "rademacher", 1)
    assert "DormandPrince(1e-5)" in text
    assert "rademacher_probes(1," in text


def test_step_decay_is_a_fifth_every_twenty_epochs() -> None:
    settings = read_config(PAPER).training
    steps_per_epoch = 1318 / 32
    rates = [learning_rate(int(epoch * steps_per_epoch) + 1, settings, steps_per_epoch) for epoch in (0, 19, 20, 39, 40, 99)]
    np.testing.assert_allclose(rates, [1e-4, 1e-4, 2e-5, 2e-5, 4e-6, 1e-4 * 0.2**4])


def test_vp_levels_have_uniform_times_one_in_each_stratum() -> None:
    sigma = draw_levels(TrainingConfig(noise_levels="vp"), 200, 0.25)
    torch.testing.assert_close(VP().time(sigma), (torch.arange(200) + 0.25) / 200, atol=2e-5, rtol=1e-4)
    assert draw_levels(TrainingConfig(noise_levels="vp"), 1, 0.0).item() == pytest.approx(1e-3, rel=1e-2)


def test_flip_mirrors_about_half_of_the_images_and_changes_nothing_else() -> None:
    x = torch.rand(200, 1, 5, 7)
    flipped = build_augmentation("flip", 200)
    assert flipped == Flip()
    moved = Flip()(x, seeded(0))
    mirrored = (moved == x.flip(-1)).all(dim=(1, 2, 3))
    assert 70 < int(mirrored.sum()) < 130
    assert torch.equal(moved[~mirrored], x[~mirrored])


def test_csp_filters_are_for_the_fast_network_only(tiny_data: Dataset) -> None:
    with pytest.raises(ConfigError, match="no stem"):
        fit(tiny_data, parse_config({"net": {"kind": "paper", "csp_filters": 4}}), watch=pytest.fail)
    with pytest.raises(ConfigError, match=r"net\.kind"):
        fit(tiny_data, parse_config({"net": {"kind": "slow"}}), watch=pytest.fail)
