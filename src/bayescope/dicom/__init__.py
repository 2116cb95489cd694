"""Predictions as DICOM objects: measurement reports, and evidence maps as pictures and segmentations.

Needs the extra ``bayescope[dicom]``.
"""

from bayescope.errors import ConfigError

try:
    import highdicom  # noqa: F401
except ImportError as error:
    raise ConfigError(f"DICOM objects need highdicom ({error}); install the extra: pip install 'bayescope[dicom]'") from None

from bayescope.dicom.codes import class_codes, read_codes
from bayescope.dicom.identity import ModelIdentity
from bayescope.dicom.report import measurement_report
from bayescope.dicom.source import read_source
from bayescope.dicom.write import check_takes_dicom, to_bytes, write_objects, write_reports

__all__ = [
    "ModelIdentity",
    "check_takes_dicom",
    "class_codes",
    "measurement_report",
    "read_codes",
    "read_source",
    "to_bytes",
    "write_objects",
    "write_reports",
]
