"""Work done in advance, in threads, in the order in which it is asked for."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Found = TypeVar("Found")


def ahead(work: Callable[[int], Found], steps: range, threads: int) -> Iterator[Found]:
    """``work(step)`` of each step in turn, up to ``threads`` steps in advance; 0: when it is asked for."""
    if not threads:
        yield from map(work, steps)
        return
    remaining = iter(steps)
    with ThreadPoolExecutor(threads) as pool:
        begun = deque(pool.submit(work, step) for step in islice(remaining, threads))
        try:
            while begun:
                found = begun.popleft().result()
                begun.extend(pool.submit(work, step) for step in islice(remaining, 1))
                yield found
        finally:
            pool.shutdown(cancel_futures=True)
