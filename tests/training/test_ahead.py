"""Work in advance comes in order, is not begun too early, and is given up with the loop."""

import threading

import pytest

from bayescope.training.ahead import ahead


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order_and_no_more_is_begun_than_threads_ahead(threads: int) -> None:
    begun: list[int] = []

    def work(step: int) -> int:
        begun.append(step)
        return step**2

    found = []
    for i, value in enumerate(ahead(work, range(5, 15), threads)):
        found.append(value)
        assert max(begun) <= 5 + i + threads
    assert found == [step**2 for step in range(5, 15)]
    assert sorted(begun) == list(range(5, 15))


def test_an_error_comes_where_its_result_would() -> None:
    def work(step: int) -> int:
        if step == 2:
            raise ValueError("step 2")
        return step

    results = ahead(work, range(5), 3)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="step 2"):
        next(results)


def test_a_loop_that_ends_early_leaves_no_thread() -> None:
    results = ahead(lambda step: step, range(1000), 2)
    assert next(results) == 0
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
