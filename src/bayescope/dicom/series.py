"""Where an object stands in its study, and what made it: attributes that all kinds of objects have."""

from collections.abc import Sequence
from typing import Any, Literal

from bayescope.dicom.identity import MANUFACTURER, ModelIdentity
from bayescope.dicom.source import Source

Kind = Literal["report", "capture", "segmentation"]
SERIES: dict[Kind, tuple[int, str]] = {
    "report": (9901, "Bayescope: predictions"),
    "capture": (9902, "Bayescope: evidence maps"),
    "segmentation": (9903, "Bayescope: evidence segmentations"),
}
"""Series Number and Series Description."""


def series_attributes(
    read: Source, identity: ModelIdentity, kind: Kind, key: Sequence[Any], apart: Sequence[Any] = ()
) -> dict[str, Any]:
    """Arguments of highdicom for the object of this ``kind`` that follows from ``key``.

    Objects of a kind about one series of the source are a series, unless they are set ``apart``.
    """
    number, description = SERIES[kind]
    content_date, content_time = read.content_moment
    return {
        "series_instance_uid": identity.uid(f"{kind} series", str(read.header.SeriesInstanceUID), *apart),
        "series_number": number,
        "series_description": description,
        "sop_instance_uid": identity.uid(kind, *key),
        "instance_number": read.instance_number,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MANUFACTURER,
        "software_versions": identity.version,
        "device_serial_number": identity.fingerprint,
        "content_date": content_date,
        "content_time": content_time,
    }
