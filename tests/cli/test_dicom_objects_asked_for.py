"""What the commands that write DICOM objects ask for, of models and images that were written down."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bayescope.cli.dicom_objects import codes_of_objects, write_evidence, write_reports_of
from bayescope.errors import ConfigError
from cli.spies import answered, bars

MODEL: Any = SimpleNamespace(
    config=SimpleNamespace(dicom="configured"), class_names=("ill", "well"), preparation=SimpleNamespace(window=2)
)


class Images(SimpleNamespace):
    """As they were read."""

    def __len__(self) -> int:
        return int(self.n)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    return {
        "check": answered(monkeypatch, "dicom:check_takes_dicom"),
        "configured": answered(monkeypatch, "dicom:class_codes", {"ill": "of the run"}),
        "read": answered(monkeypatch, "dicom:read_codes", {"ill": "of the file"}),
    }


def test_codes_are_those_of_the_run_unless_a_file_is_given(asked: dict[str, list[dict[str, Any]]]) -> None:
    assert codes_of_objects(MODEL, Path("sr"), None, "--sr") == {"ill": "of the run"}
    assert codes_of_objects(MODEL, Path("sr"), Path("codes.toml"), "--sr") == {"ill": "of the file"}
    assert [list(call.values()) for call in asked["configured"]] == [["configured", ("ill", "well")]]
    assert [list(call.values()) for call in asked["read"]] == [[Path("codes.toml"), ("ill", "well")]]
    assert [list(call.values()) for call in asked["check"]] == [[MODEL], [MODEL]]


def test_without_objects_there_are_no_codes(asked: dict[str, list[dict[str, Any]]]) -> None:
    assert codes_of_objects(MODEL, None, None, "--sr", from_cache=True) == {}
    with pytest.raises(ConfigError, match=r"^--codes without --sr; expected both"):
        codes_of_objects(MODEL, None, Path("codes.toml"), "--sr")
    with pytest.raises(ConfigError, match=r"^--sr with a cache, which holds no DICOM headers"):
        codes_of_objects(MODEL, Path("sr"), None, "--sr", from_cache=True)
    assert asked["check"] == []


@pytest.mark.parametrize(("n", "quiet"), [(1, True), (19, True), (20, False)])
def test_reports_are_counted_where_there_are_many(monkeypatch: pytest.MonkeyPatch, n: int, quiet: bool) -> None:
    shown = bars(monkeypatch, "dicom_objects")
    identity = answered(monkeypatch, "dicom:ModelIdentity.of", "identity")
    given: list[Any] = []

    def write_reports(*arguments: Any) -> list[str]:
        *rest, advance = arguments
        advance(n)
        given.append(rest)
        return []

    monkeypatch.setattr("bayescope.dicom.write_reports", write_reports)
    found: Any = Images(n=n)
    assert write_reports_of(Path("run"), found, [{"image": "a"}], {"ill": "code"}, Path("sr"), True) is True  # type: ignore[dict-item]
    assert given == [[found, [{"image": "a"}], "identity", {"ill": "code"}, Path("sr"), True]]
    assert identity == [{"run": Path("run")}]
    assert shown == [("writing reports", n, quiet)]


def test_images_without_a_report_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answered(monkeypatch, "dicom:ModelIdentity.of", "identity")
    monkeypatch.setattr("bayescope.dicom.write_reports", lambda *_: iter(["a.png: no DICOM file", "b.png: no study"]))
    found: Any = Images(n=1)
    assert write_reports_of(Path("run"), found, [], {}, Path("sr"), False) is False
    assert capsys.readouterr().err.strip().splitlines() == ["no report: a.png: no DICOM file", "no report: b.png: no study"]


def test_the_objects_of_a_map_are_of_the_image_that_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = answered(monkeypatch, "dicom:ModelIdentity.of", "identity")
    made = answered(monkeypatch, "dicom:evidence_objects", "objects")
    written = answered(monkeypatch, "dicom:write_objects", [Path("one.dcm")])
    found: Any = Images(paths=(Path("a.dcm"),), frames=(3,), preparations=("preparation",))
    explanation: Any = "explanation"
    codes: Any = {"ill": "code"}
    assert write_evidence(Path("run"), MODEL, found, explanation, codes, Path("objects"), True) == [Path("one.dcm")]
    assert identity == [{"run": Path("run")}]
    assert [list(call.values()) for call in made] == [
        [Path("a.dcm"), "explanation", "preparation", "identity", {"ill": "code"}, 3, 2]
    ]
    assert [list(call.values()) for call in written] == [["objects", Path("objects"), True]]
