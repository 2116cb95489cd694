"""Bars count what they are told, and know their totals."""

import time
from typing import Any

import pytest
from rich.progress import Progress

from bayescope.cli import progress as bars
from bayescope.config import Config
from bayescope.data.dataset import Dataset


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    """Every Progress that is begun."""
    begun: list[Progress] = []

    class Kept(Progress):
        def __init__(self, *columns: Any, **options: Any) -> None:
            super().__init__(*columns, **options)
            begun.append(self)

    monkeypatch.setattr(bars, "Progress", Kept)
    return begun


def tasks(shown: list[Progress]) -> list[tuple[str, float | None, float, bool]]:
    return [(t.description, t.total, t.completed, t.visible) for progress in shown for t in progress.tasks]


def test_a_bar_advances_by_the_items_done(shown: list[Progress]) -> None:
    with bars.bar("scoring", 12) as advance:
        advance(3)
        advance(4)
        assert tasks(shown) == [("scoring", 12, 7, True)]
    assert not shown[0].disable
    with bars.bar("scoring", 2, quiet=True) as advance:
        advance(1)
    assert shown[1].disable


def test_a_counter_is_shown_once_the_total_is_known(shown: list[Progress]) -> None:
    with bars.counter("reading") as count:
        assert tasks(shown) == [("reading", None, 0, False)]
        count(2, 9)
        assert tasks(shown) == [("reading", 9, 2, True)]


def test_a_late_counter_waits(shown: list[Progress], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with bars.late_counter("reading", 2.0) as count:
        now[0] = 102.0
        count(1, 9)
        assert tasks(shown) == [("reading", None, 0, False)]
        now[0] = 102.1
        count(2, 9)
        assert tasks(shown) == [("reading", 9, 2, True)]


def test_each_stage_has_its_own_bar(shown: list[Progress]) -> None:
    with bars.stages() as begin:
        first, second = begin("reading", 4), begin("scoring", 6)
        first(4)
        second(1)
        second(2)
    assert tasks(shown) == [("reading", 4, 4, True), ("scoring", 6, 3, True)]


@pytest.mark.parametrize(("augmented", "images"), [("none", 30), ("light", 60)])
def test_training_counts_steps_and_the_validation_images_to_score(
    shown: list[Progress], tiny_data: Dataset, tiny_config: Config, augmented: str, images: int
) -> None:
    config = tiny_config.model_copy(update={"training": tiny_config.training.model_copy(update={"augmentation": augmented})})
    with bars.training_bars(tiny_data, config, done=5) as (step, scored):
        step(None)  # type: ignore[arg-type]
        scored(8)
        assert tasks(shown) == [("training", 24, 6, True), ("scoring validation", images, 8, True)]
