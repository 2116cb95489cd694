"""The identity of a model, and UIDs derived from it."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayescope import __version__
from bayescope.dicom import ModelIdentity
from bayescope.errors import RunError


def test_weights_and_configuration_are_the_identity(tiny_run: Path, tmp_path: Path) -> None:
    copies = [Path(shutil.copytree(tiny_run, tmp_path / name)) for name in "abc"]
    (copies[0] / "run.json").write_text("{}")
    with (copies[1] / "config.toml").open("a") as file:
        file.write("\n")
    content = bytearray((copies[2] / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copies[2] / "model.safetensors").write_bytes(content)
    own, same, *others = (ModelIdentity.of(run) for run in (tiny_run, *copies))
    assert own == same
    assert own.version == __version__
    assert len({own.fingerprint, *(other.fingerprint for other in others)}) == 3


def test_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be reached"):
        ModelIdentity.of(tmp_path)


@given(st.text(), st.lists(st.text() | st.integers() | st.none()))
def test_uids_are_valid_and_repeat(kind: str, about: list[object]) -> None:
    identity = ModelIdentity("ab" * 32, "1.0")
    uid = identity.uid(kind, *about)
    assert uid.is_valid
    assert len(uid) <= 64
    assert uid == identity.uid(kind, *about)
    assert uid != identity.uid(kind, *about, "more")


def test_a_uid_stays_the_same_between_versions_of_the_code() -> None:
    """Changed, archives would hold every object twice."""
    assert ModelIdentity("ab" * 32, "1.0").uid("report", "1.2.3", None, {"b": 0.5, "a": 0.5}) == (
        "2.25.296319135378685157737617700068324065562"
    )
