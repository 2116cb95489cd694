"""Progress of a task with several stages, reported to a callback."""

from collections.abc import Callable

Advance = Callable[[int], None]
"""Called with the number of items done since the last call."""
Progress = Callable[[str, int], Advance]
"""Called with the name of a stage as it begins and the number of its items."""


def no_progress(stage: str, total: int) -> Advance:
    """A :data:`Progress` that shows nothing."""
    return lambda done: None


def counting(progress: Progress, stage: str) -> Callable[[int, int], None]:
    """A function of the items done so far and their total, which are known as soon as it is called."""
    advance: Advance | None = None
    known = 0

    def count(done: int, total: int) -> None:
        nonlocal advance, known
        if advance is None:
            advance = progress(stage, total)
        advance(done - known)
        known = done

    return count
