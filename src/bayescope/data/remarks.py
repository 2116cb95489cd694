"""Remarks on images, grouped: identical remarks on several images are reported once."""

from collections.abc import Callable


class Remarks:
    """Remarks on images by their words; ``lines`` gives each once, with the number of images and the first one's name."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def of(self, name: str) -> Callable[[str], None]:
        """A function that records remarks on the image ``name``."""
        return lambda text: self._names.setdefault(text, []).append(name)

    def lines(self) -> tuple[str, ...]:
        """One line for each remark, in the order in which they were first made."""
        return tuple(
            f"{names[0]}: {text}" if len(names) == 1 else f"{len(names)} images, such as {names[0]}: {text}"
            for text, names in self._names.items()
        )
