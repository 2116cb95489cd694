"""Lookup tables of a DICOM header (PS3.3 C.11.1.1 and C.11.2.1.1).

Entries of 8 bits may be packed two to a word, of up to 16 bits are words.  An entry is NaN where the descriptor announces more
or fewer than there are, so that what needs it can be refused; one alone that is missing is taken like the one before it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from bayescope.data.formats.dicom.header import refusal

_MOST_ENTRIES = 2**16


@dataclass(frozen=True)
class LookupTable:
    """``entries`` float64 ``(n,)``, NaN where unknown; ``first``, the value mapped to the first; ``bits`` of an entry."""

    entries: NDArray[np.float64]
    first: int
    bits: int

    def look_up(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The entry of each value: the first for those below ``first``, the last for those above."""
        index = np.floor(values) - self.first
        return self.entries[index.clip(0, len(self.entries) - 1).astype(np.intp)]


def lookup_table(item: Dataset, reach: tuple[float, float], is_little_endian: bool, what: str, name: str) -> LookupTable:
    """The table of one item of a LUT sequence, for values from ``reach[0]`` to ``reach[1]``.

    Raises DataError, under ``name``, for a descriptor or data that are missing or make no table.
    """
    descriptor = item.get("LUTDescriptor")
    if (
        descriptor is None
        or not hasattr(descriptor, "__len__")
        or len(descriptor) != 3
        or item.get("LUTData") in (None, b"", "")
    ):
        raise refusal(name, f"a {what} without LUT Descriptor of 3 values or LUT Data", "both")
    n_entries, first, bits = (int(value) for value in descriptor)
    n_entries = n_entries % _MOST_ENTRIES or _MOST_ENTRIES  # 0 stands for 65536; signed where the descriptor is SS
    if not 1 <= bits <= 16:
        raise refusal(name, f"a {what} of {bits} bits an entry", "8, or 10 to 16")
    entries = _fitted(_entries(item, n_entries, bits, is_little_endian), n_entries)
    return LookupTable(entries, _nearest(first, n_entries, reach), bits)


def _entries(item: Dataset, n_entries: int, bits: int, is_little_endian: bool) -> NDArray[np.float64]:
    """As many as are there, whatever the descriptor announces."""
    data = item["LUTData"].value
    is_packed_size = (n_entries, n_entries + n_entries % 2)
    if isinstance(data, bytes):
        if bits <= 8 and len(data) in is_packed_size and item["LUTData"].VR == "OB":
            return np.frombuffer(data, np.uint8).astype(np.float64)
        words = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if is_little_endian else ">u2")
    else:
        words = np.atleast_1d(np.asarray(data, dtype=np.int64)).astype(np.uint16)
    if bits <= 8 and 2 * len(words) in is_packed_size:
        return words.astype("<u2").view(np.uint8).astype(np.float64)  # the first of two in the low byte
    return words.astype(np.float64)


def _fitted(entries: NDArray[np.float64], n_entries: int) -> NDArray[np.float64]:
    """The ``n_entries`` announced, and NaN for what may be missing or for all that is beyond them."""
    surplus = len(entries) - n_entries
    if surplus == -1:
        return np.append(entries, entries[-1:])
    if surplus < 0:
        return np.append(entries, np.full(-surplus, np.nan))
    return entries[:n_entries] if surplus <= 1 else np.append(entries[:n_entries], np.nan)


def _nearest(first: int, n_entries: int, reach: tuple[float, float]) -> int:
    """The first value mapped, read signed or unsigned: as given, unless only the other reading meets the values."""

    def met(start: int) -> float:
        return min(start + n_entries, reach[1] + 1) - max(start, reach[0])

    other = first - 2**16 if first >= 2**15 else first + 2**16 if first < 0 else first
    return other if met(other) > 0 >= met(first) else first
