"""The order of class names: numbers as numbers, everything else as text.

``2`` comes before ``10``, ``grade 2`` before ``grade 10``, ``-1`` before ``0.5``.
"""

import re
from collections.abc import Iterable

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_DIGITS = re.compile(r"(\d+)")


def sort_class_names(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in natural order."""
    return tuple(sorted(set(names), key=_key))


def _key(name: str) -> tuple[int, float, list[tuple[int, int, str]], str]:
    if _NUMBER.fullmatch(name):
        return 0, float(name), [], name
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(name) if part]
    return 1, 0.0, parts, name
