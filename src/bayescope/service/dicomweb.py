"""Instances of the DICOMweb server that the service was started with, by WADO-RS (PS3.18 section 10.4)."""

import io
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from pydicom import dcmwrite

from bayescope.errors import DataError
from bayescope.service.uploads import Upload

_TIMEOUT = 30.0


class _Impatient(requests.Session):
    """A session whose requests do not wait forever."""

    def request(self, *args: Any, **options: Any) -> requests.Response:
        return super().request(*args, **{"timeout": _TIMEOUT, **options})


def retrieve(url: str, study: str, series: str, instance: str) -> Upload:
    """An instance, as if it had been sent.

    Parameters
    ----------
    url : str
        Of the server.
    study, series, instance : str
        UIDs.

    Returns
    -------
    Upload
        Named after its UID.

    Raises
    ------
    DataError
        If it cannot be retrieved.
    """
    client = DICOMwebClient(url, session=_Impatient())
    try:
        found = client.retrieve_instance(study, series, instance)
    except Exception as error:  # requests and pydicom raise their own kinds
        raise DataError(
            f"instance {instance}: cannot be retrieved ({type(error).__name__}); expected one that the DICOMweb server has. "
            "Check the UIDs and the server"
        ) from None
    buffer = io.BytesIO()
    dcmwrite(buffer, found, enforce_file_format=True)
    buffer.seek(0)
    return Upload(f"{instance}.dcm", buffer)
