"""Exceptions and warnings raised by Bayescope.  A message says what was found, what was expected and what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class BayescopeError(Exception):
    """Base class of all errors that a user can correct; the command line prints the message and exits with 2."""


class DataError(BayescopeError, ValueError):
    """A data set or an image cannot be used as it is."""


class MismatchError(DataError):
    """A DICOM object is another than it was announced as."""


class ConfigError(BayescopeError, ValueError):
    """A setting is unknown, of the wrong kind or out of range."""


class RunError(BayescopeError):
    """A run folder is missing, incomplete, of another version, or in the way."""


class UnitsWarning(UserWarning):
    """Pixel values unlike those of the training images: they may be in other units, and the predictions wrong."""


class RenamedWarning(FutureWarning):
    """A setting is given by a deprecated name; the message gives the new one."""


class UncalibratedWarning(UserWarning):
    """Likelihood ratios stay raw: too few images were held out to calibrate them on."""


def lookup(table: Mapping[str, T], word: str, key: str) -> T:
    """The value of ``word``, given for the setting ``key``, in ``table``.

    Raises ConfigError naming the key, the word and the words expected.
    """
    if word not in table:
        raise ConfigError(f"{key}: found {word!r}; expected one of {', '.join(table)}")
    return table[word]


@contextmanager
def writing(what: Path, kept: str = "What was written before is intact") -> Iterator[None]:
    """Convert an OSError on writing ``what`` into a RunError, which states what is ``kept``."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{what}: cannot be written ({error.strerror or error}); expected a writable folder with free space. {kept}"
        ) from None


@contextmanager
def reading(what: Path, kind: type[BayescopeError] = DataError) -> Iterator[None]:
    """Convert an OSError on reading ``what``, or files in it, into an error of ``kind``."""
    try:
        yield
    except OSError as error:
        raise kind(
            f"{error.filename or what}: cannot be reached ({error.strerror or error}); expected a valid path "
            "in folders that may be entered. Check its name and the permissions of its folders"
        ) from None
