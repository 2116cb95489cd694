"""Summary of the files in a folder: how many were found and used, and why the others were left out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class FileSummary:
    """Files found in a folder: ``found`` is the number used plus all of ``left_out``, which counts by reason.

    Empty (``found`` 0) for data that are no folder of files.
    """

    found: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, used: int, reasons: Iterable[str]) -> "FileSummary":
        """From the number of files used and the reason for each file that was not, the most frequent first."""
        counted = dict(sorted(Counter(reasons).items(), key=lambda item: (-item[1], item[0])))
        return cls(used + sum(counted.values()), counted)

    @property
    def used(self) -> int:
        return self.found - sum(self.left_out.values())

    def __str__(self) -> str:
        """``found 92 files, used 52, left out 40: .gif is not read (40)``; blank if no folder was read."""
        if not self.found:
            return ""
        left_out = self.found - self.used
        why = ": " + "; ".join(f"{reason} ({n})" for reason, n in self.left_out.items()) if left_out else ""
        return f"found {self.found} files, used {self.used}, left out {left_out}{why}"

    def to_dict(self) -> dict[str, Any]:
        """``found``, ``used`` and ``left_out``, as JSON values."""
        return asdict(self) | {"used": self.used}
