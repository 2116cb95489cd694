"""What made an object: a trained model and the version of Bayescope that ran it; and UIDs that follow from it.

A UID is a name-based UUID (RFC 9562 version 5) as a decimal number under the root 2.25 (PS3.5 section B.2).
"""

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydicom.uid import UID

from bayescope import __version__
from bayescope.runs.model_file import model_fingerprint

MANUFACTURER = "Bayescope"
_NAMESPACE = uuid.UUID("7f0b3c1e-61c5-5a0e-9a38-7d1f3f0c2b55")


@dataclass(frozen=True)
class ModelIdentity:
    """Identity of a trained model, as DICOM objects and their UIDs carry it.

    Parameters
    ----------
    fingerprint : str
        SHA-256 of weights and configuration, 64 hexadecimal digits.
    version : str
        Version of Bayescope (default: the one that runs).
    """

    fingerprint: str
    version: str = __version__

    @classmethod
    def of(cls, run: Path) -> Self:
        """Identity of the model in a run folder.

        Parameters
        ----------
        run : Path
            Folder written by ``bayescope train``.

        Returns
        -------
        ModelIdentity
            With the fingerprint of its ``model.safetensors`` and ``config.toml``.

        Raises
        ------
        RunError
            If one of them cannot be read.
        """
        return cls(model_fingerprint(run))

    def uid(self, kind: str, *about: Any) -> UID:
        """A UID that is the same whenever it is derived from the same values.

        Parameters
        ----------
        kind : str
            What it identifies, for instance ``"report"``.
        *about
            What distinguishes it from others of the kind: values that JSON holds.

        Returns
        -------
        UID
            Derived from the identity, ``kind`` and ``about``.
        """
        name = json.dumps([self.fingerprint, self.version, kind, *about], sort_keys=True)
        return UID(f"2.25.{uuid.uuid5(_NAMESPACE, name).int}")
