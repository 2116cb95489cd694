"""``bayescope serve``: the settings that its options make."""

from pathlib import Path
from typing import Any

import pytest

from bayescope.service.settings import ServiceSettings
from cli.spies import answered
from conftest import Call


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    return answered(monkeypatch, "service.serve:serve")


def test_without_options_only_this_machine_is_served(
    cli: Call, asked: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("serve", "run").code == 0
    (call,) = asked
    started = call.pop("started")
    nothing = {"tls_certificate": None, "tls_key": None}
    settings = ServiceSettings(
        token=None, max_upload=256 * 1024 * 1024, max_pixels=8192 * 8192, max_waiting=256, scoring_process=True
    )
    assert call == {"run": Path("run"), "settings": settings, "host": "127.0.0.1", "port": 8000, "device": "auto", **nothing}
    started("http://127.0.0.1:8000/")
    told = capsys.readouterr()
    assert told.out == "http://127.0.0.1:8000/\n"
    assert told.err == "For research; not a medical device. Ctrl-C stops the service.\n"


def test_options_make_the_settings(cli: Call, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    address = ("--host", "0.0.0.0", "--port", 0, "--token-file", tmp_path / "token")
    limits = ("--max-upload", 3, "--max-pixels", 1000, "--max-waiting", 7)
    more = ("--keep", "kept", "--dicomweb", "http://x/dicom-web", "--device", "cpu")
    assert cli("serve", "run", *address, *limits, *more, "--tls-certificate", "a.pem", "--tls-key", "b.pem").code == 0
    (call,) = asked
    del call["started"]
    assert call == {
        "run": Path("run"),
        "settings": ServiceSettings(
            token="0123456789abcdef",
            max_upload=3 * 1024 * 1024,
            max_pixels=1000,
            max_waiting=7,
            keep=Path("kept"),
            dicomweb="http://x/dicom-web",
            scoring_process=True,
        ),
        "host": "0.0.0.0",
        "port": 0,
        "tls_certificate": Path("a.pem"),
        "tls_key": Path("b.pem"),
        "device": "cpu",
    }


def test_others_are_not_served_without_a_token(cli: Call, asked: list[dict[str, Any]]) -> None:
    told = cli("serve", "run", "--host", "0.0.0.0")
    assert (told.code, "others could reach the service" in told.err, asked) == (2, True, [])
