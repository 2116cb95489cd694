"""The engine of one machine."""

import operator
import os
from functools import partial

import pytest

from bayescope.engines import ENGINES, open_engine
from bayescope.engines.local import LocalEngine
from bayescope.errors import ConfigError, RunError

add_3 = partial(partial, operator.add, 3)


def die() -> object:
    return os._exit


def test_in_this_process_results_come_in_order() -> None:
    assert list(LocalEngine().run(add_3, [1, 2, 5])) == [4, 5, 8]


def test_without_tasks_no_worker_is_made() -> None:
    assert list(LocalEngine().run(die, [])) == []


@pytest.mark.slow
def test_processes_give_every_result_once() -> None:
    assert sorted(LocalEngine(2).run(add_3, range(30))) == [i + 3 for i in range(30)]


@pytest.mark.slow
def test_a_killed_process_ends_the_job() -> None:
    with pytest.raises(RunError, match="a worker process was killed"):
        list(LocalEngine(1).run(die, [1]))


def test_words_become_engines() -> None:
    assert isinstance(open_engine("local", 2), ENGINES["local"])
    with pytest.raises(ConfigError, match="expected one of local, ray"):
        open_engine("spark")
    with pytest.raises(ConfigError, match="expected --engine ray"):
        open_engine("local", address="auto")


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayescope.engines.ray_cluster.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'bayescope\[ray\]'"):
        open_engine("ray")
