"""What is handed on to training and to what follows it: the prior, the change of copies, and the record of a run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bayescope.config import Config, parse_config
from bayescope.data.dataset import Dataset
from bayescope.fitting.fit import calibration_augmentation, fit, fit_run, images_to_score
from bayescope.runs.files import METRICS
from bayescope.training.augmentation import build_augmentation
from bayescope.training.sampler import seeded


def settings(config: Config, **sections: dict[str, object]) -> Config:
    return parse_config(
        config.model_dump() | {name: getattr(config, name).model_dump() | new for name, new in sections.items()}
    )


def test_the_prior_given_is_the_models(tiny_data: Dataset, tiny_config: Config) -> None:
    config = settings(tiny_config, training={"steps": 1})
    model = fit(tiny_data, config, np.array([0.2, 0.8]))
    assert model.class_prior.tolist() == [0.2, 0.8]
    assert model.classify(tiny_data.test.pixels[:2]).class_prior.tolist() == [0.2, 0.8]
    assert fit(tiny_data, config).class_prior.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("strength", [0.0, 1.0, 2.0])
def test_copies_are_changed_as_training_images_are_times_a_strength(tiny_config: Config, strength: float) -> None:
    config = settings(
        tiny_config,
        training={"augmentation": "strong", "intensity": 0.2},
        evidence={"calibration_augmentation": strength},
    )
    found, expected = calibration_augmentation(config, 60), build_augmentation("strong", 60, 0.2, strength)
    assert (found is None) == (strength == 0)
    if found is not None and expected is not None:
        x = torch.rand(20, 1, 8, 12)
        torch.testing.assert_close(found(x, seeded(0)), expected(x, seeded(0)))
        assert not torch.allclose(found(x, seeded(0)), build_augmentation("strong", 60, 0.0, strength)(x, seeded(0)))  # type: ignore[misc]


def test_as_many_images_are_scored_as_were_announced(tiny_data: Dataset, tiny_config: Config) -> None:
    for augmentation, copies in (("none", 1), ("light", 2)):
        config, scored = settings(tiny_config, training={"steps": 1, "augmentation": augmentation}), list[int]()
        fit(tiny_data, config, scored=scored.append)
        assert sum(scored) == images_to_score(tiny_data, config) == copies * len(tiny_data.val)
    nothing_fitted = settings(
        tiny_config,
        training={"augmentation": "light"},
        evidence={"level_weights": "bound", "calibration": "none"},
    )
    assert calibration_augmentation(nothing_fitted, 60) is None


@pytest.mark.slow
def test_what_was_recorded_after_the_last_checkpoint_is_recorded_anew(
    tiny_data: Dataset, tiny_config: Config, tmp_path: Path
) -> None:
    """Killed at step 19, three steps after a validation, of which the last checkpoint, at step 10, knows nothing."""

    def killed(progress: object) -> None:
        if progress.state.step == 19:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    run, whole = tmp_path / "run", tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        fit_run(tiny_data, tiny_config, run, checkpoint_every=10, watch=killed)
    assert [json.loads(line)["step"] for line in (run / METRICS).read_text().splitlines()] == [8, 16]
    fit_run(tiny_data, tiny_config, run, resume=True)
    fit_run(tiny_data, tiny_config, whole)
    assert (run / METRICS).read_text() == (whole / METRICS).read_text()


def test_a_network_given_is_the_one_that_is_averaged_from_the_start(tiny_data: Dataset, tiny_config: Config) -> None:
    """After one step that changes next to nothing, the average is the network that training started from."""
    first = fit(tiny_data, settings(tiny_config, training={"steps": 3}))
    still = settings(tiny_config, training={"steps": 1, "learning_rate": 1e-9}).model_copy(update={"seed": 5})
    again = fit(tiny_data, still, init=first)
    for (name, value), other in zip(first.denoiser.named_parameters(), again.denoiser.parameters(), strict=True):
        torch.testing.assert_close(other, value, rtol=0, atol=1e-5, msg=name)
