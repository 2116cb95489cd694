"""Phases and learning rates by hand."""

import pytest

from bayescope.config import TrainingConfig, parse_config
from bayescope.errors import ConfigError
from bayescope.training.learning_rate import Phase, learning_rate


def test_each_phase_warms_up_and_falls_by_itself() -> None:
    settings = TrainingConfig(steps=250, generative_steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(250)]
    alone = [learning_rate(step, TrainingConfig(steps=100, warmup_steps=10, learning_rate=1.0)) for step in range(100)]
    assert rates[:100] == alone
    assert rates[100] == pytest.approx(0.1)
    assert rates[175] == pytest.approx(0.51)
    assert rates[-1] < 0.03


def test_a_stable_rate_stays_until_the_last_fifth() -> None:
    settings = TrainingConfig(steps=100, warmup_steps=10, learning_rate=2.0, decay="stable")
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[4] == pytest.approx(1.0)
    assert rates[10:81] == [2.0] * 71
    assert rates[85] == pytest.approx(1.0)  # 1 - √(5/20)
    assert rates[99] == pytest.approx(2 * (1 - (19 / 20) ** 0.5))


@pytest.mark.parametrize(
    ("step", "generative", "done", "evidence"),
    [(0, True, 0, False), (9, True, 9, False), (10, False, 0, False), (20, False, 10, True)],
)
def test_what_a_step_teaches(step: int, generative: bool, done: int, evidence: bool) -> None:
    settings = TrainingConfig(steps=50, generative_steps=10, evidence_from=0.25)
    phase = Phase.at(step, settings)
    assert (phase.generative, phase.done, phase.steps) == (generative, done, 10 if generative else 40)
    assert phase.teaches_evidence(settings) == evidence
    assert not phase.teaches_evidence(settings.model_copy(update={"evidence_weight": 0.0}))


def test_no_step_left_for_the_classes_is_refused() -> None:
    with pytest.raises(ConfigError, match="generative_steps 50 below steps 50"):
        parse_config({"training": {"steps": 50, "generative_steps": 50}})


def test_learning_rate_warms_up_and_falls() -> None:
    settings = TrainingConfig(steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[0] < rates[9]
    assert max(rates) <= 1.0
    assert rates[-1] < 0.03
