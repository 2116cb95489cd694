"""Exceptions and warnings raised by Bayescope.  A message says what was found, what was expected and what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class BayescopeError(Exception):
    """Base of all errors a user can mend; the command line prints the message and exits with 2."""


class DataError(BayescopeError, ValueError):
    """A data set or an image cannot be used as it is."""


class ConfigError(BayescopeError, ValueError):
    """A setting is unknown, of the wrong kind or out of range."""


class RunError(BayescopeError):
    """A run folder is missing, incomplete, of another version, or in the way."""


class UnitsWarning(UserWarning):
    """Pixel values unlike those of the training images: they may be in other units, and the answers wrong."""


class RenamedWarning(FutureWarning):
    """A setting goes by an old name, which is still understood; the message gives the new one."""


class UncalibratedWarning(UserWarning):
    """Likelihood ratios stay raw: too few images were held out to calibrate them on."""


def lookup(table: Mapping[str, T], word: str, key: str) -> T:
    """What ``word``, given for the setting ``key``, stands for in ``table``.

    Raises ConfigError naming the key, the word and the words expected.
    """
    if word not in table:
        raise ConfigError(f"{key}: found {word!r}; expected one of {', '.join(table)}")
    return table[word]


@contextmanager
def writing(what: Path, kept: str = "What was written before is intact") -> Iterator[None]:
    """Turn the system's refusal to write ``what`` into a RunError, which says what is ``kept``."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{what}: cannot be written ({error.strerror or error}); expected a writable folder with free space. {kept}"
        ) from None


@contextmanager
def reading(what: Path, kind: type[BayescopeError] = DataError) -> Iterator[None]:
    """Turn the system's refusal to reach ``what``, or what lies in it, into an error of ``kind``."""
    try:
        yield
    except OSError as error:
        raise kind(
            f"{error.filename or what}: cannot be reached ({error.strerror or error}); expected a path that the system takes, "
            "in folders that may be entered. Check its name and the permissions on the way to it"
        ) from None
