"""Predictions as DICOM objects: measurement reports, and evidence maps as pictures and segmentations.

Needs the extra ``bayescope[dicom]``.
"""

from bayescope.errors import ConfigError

try:
    import highdicom  # noqa: F401
except ImportError as error:
    raise ConfigError(f"DICOM objects need highdicom ({error}); install the extra: pip install 'bayescope[dicom]'") from None

from bayescope.dicom.capture import evidence_capture
from bayescope.dicom.codes import class_codes, read_codes
from bayescope.dicom.evidence import SourceEvidence, evidence_on_source
from bayescope.dicom.group_report import group_report
from bayescope.dicom.identity import ModelIdentity
from bayescope.dicom.objects import evidence_objects, result_objects
from bayescope.dicom.report import measurement_report
from bayescope.dicom.segmentation import evidence_segmentation
from bayescope.dicom.source import read_source
from bayescope.dicom.write import check_takes_dicom, to_bytes, write_group_reports, write_objects, write_reports

__all__ = [
    "ModelIdentity",
    "SourceEvidence",
    "check_takes_dicom",
    "class_codes",
    "evidence_capture",
    "evidence_objects",
    "evidence_on_source",
    "evidence_segmentation",
    "group_report",
    "measurement_report",
    "read_codes",
    "read_source",
    "result_objects",
    "to_bytes",
    "write_group_reports",
    "write_objects",
    "write_reports",
]
