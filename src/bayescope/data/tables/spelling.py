"""Labels and patients that differ only in spelling: in case, blanks, Unicode form or number format."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

from bayescope.errors import DataError

_SHOWN = 5


def describe_rows(rows: Sequence[int]) -> str:
    """Rows of a spreadsheet, whose header is row 1: ``row 7``, ``rows 2, 3, 9``, at most five of them."""
    more = f" … and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:_SHOWN]))}{more}"


def unify(
    values: Sequence[str], what: str, source: str, normalise: bool, rows: Sequence[int] | None = None
) -> tuple[list[str], str]:
    """The values, spelt alike where they differ in spelling only, and a note on what was changed.

    ``what`` they are, such as "classes"; ``rows (n,)``: where each stands, if in a table.  ``normalise``: unify to the
    most frequent spelling, the first of equals.  Otherwise raises DataError naming the spellings.
    """
    spellings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for value in values:
        spellings[_key(value)][value] += 1
    differing = [counts for counts in spellings.values() if len(counts) > 1]
    if not differing:
        return list(values), ""
    described = "; ".join(_described(counts, values, rows) for counts in differing)
    if not normalise:
        raise DataError(
            f"{source}: {what} that differ in spelling only: {described}; expected one spelling of each. Correct them, or give "
            "--normalise-labels to take them for the same"
        )
    chosen = {spelling: counts.most_common(1)[0][0] for counts in differing for spelling in counts}
    changed = ", ".join(f"{old!r} as {new!r}" for old, new in chosen.items() if old != new)
    return [chosen.get(value, value) for value in values], f"{what} spelt alike: {changed}"


def _described(counts: Counter[str], values: Sequence[str], rows: Sequence[int] | None) -> str:
    parts = []
    for spelling, count in counts.items():
        where = (
            ""
            if rows is None
            else f" ({describe_rows([row for row, value in zip(rows, values, strict=True) if value == spelling])})"
        )
        parts.append(f"{spelling!r} {count} times{where}")
    return ", ".join(parts)


def _key(value: str) -> str:
    """The same for all spellings of one name."""
    plain = "".join(unicodedata.normalize("NFKC", value).casefold().split())
    try:
        number = float(plain)
    except ValueError:
        return plain
    return f"{number:.12g}" if number == number else plain
