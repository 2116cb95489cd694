"""Log and audit trail: valid JSON lines, DICOM's names and codes, pseudonyms."""

import hashlib
import hmac
import json
import stat
from pathlib import Path

import pytest
from pydicom.sr.codedict import codes

from bayescope.errors import DataError, RunError
from bayescope.node.journal import AUDIT, EVENT_TYPES, LOG, MESSAGES, SITE_KEY, Journal, Pseudonyms, describe


def test_names_and_codes_are_those_of_the_standard() -> None:
    for name, code in (MESSAGES | EVENT_TYPES).items():
        found = getattr(codes.DCM, name.replace(" ", ""))
        assert (found.value, found.meaning) == (code, name)


def test_uids_are_written_as_hmac_of_the_sites_key(tmp_path: Path) -> None:
    pseudonyms = Pseudonyms.of_folder(tmp_path)
    journal = Journal(tmp_path, "BAYESCOPE", pseudonyms)
    journal.event("object stored", instance="1.2.3", bytes=7)
    journal.audit("DICOM Instances Transferred", "C", studies=["1.2", "1.3"])
    key = (tmp_path / SITE_KEY).read_bytes()
    hidden = {uid: hmac.new(key, uid.encode(), hashlib.sha256).hexdigest()[:32] for uid in ("1.2.3", "1.2", "1.3")}
    (line,) = map(json.loads, (tmp_path / LOG).read_text().splitlines())
    assert (line["event"], line["level"], line["instance"], line["bytes"]) == ("object stored", "info", hidden["1.2.3"], 7)
    (line,) = map(json.loads, (tmp_path / AUDIT).read_text().splitlines())
    assert line["event_id"] == {"code": "110104", "scheme": "DCM", "meaning": "DICOM Instances Transferred"}
    assert (line["studies"], line["outcome"], line["action"]) == ([hidden["1.2"], hidden["1.3"]], 0, "C")


def test_the_key_is_kept_and_private(tmp_path: Path) -> None:
    first = Pseudonyms.of_folder(tmp_path)
    assert first("1.2") == Pseudonyms.of_folder(tmp_path)("1.2")
    assert stat.S_IMODE((tmp_path / SITE_KEY).stat().st_mode) == 0o600
    (tmp_path / "other").mkdir()
    assert first("1.2") != Pseudonyms.of_folder(tmp_path / "other")("1.2")
    (tmp_path / SITE_KEY).write_bytes(b"short")
    with pytest.raises(RunError, match="5 bytes; expected a key of 32"):
        Pseudonyms.of_folder(tmp_path)


def test_a_log_that_was_moved_is_begun_anew(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "BAYESCOPE", Pseudonyms.of_folder(tmp_path))
    journal.event("one")
    (tmp_path / LOG).rename(tmp_path / "old")
    journal.event("two")
    assert ["two" in (tmp_path / name).read_text() for name in ("old", LOG)] == [False, True]


def test_errors_of_others_are_not_quoted() -> None:
    def quoting() -> None:
        try:
            raise ValueError("Doe^Jane")
        except ValueError as error:
            raise DataError(f"a.dcm: cannot be read ({error})") from None

    with pytest.raises(DataError) as raised:
        quoting()
    assert describe(raised.value) == "ValueError"
    assert describe(DataError("a.dcm: 60 frames")) == "a.dcm: 60 frames"
    assert describe(KeyError("Doe^Jane")) == "KeyError"
