"""Which addresses need a token, and what a token is."""

from pathlib import Path

import pytest

from bayescope.errors import ConfigError, RunError
from bayescope.service.settings import check_address, read_token


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    check_address(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.3", "hospital.example", ""])
def test_other_addresses_need_one(host: str) -> None:
    with pytest.raises(ConfigError, match="Give --token-file"):
        check_address(host, None)
    check_address(host, "0123456789abcdef")


def test_a_token_is_read_without_blanks_around_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("  0123456789abcdef\n")
    assert read_token(path) == "0123456789abcdef"


@pytest.mark.parametrize("text", ["", "short", "0123456789 abcdef", "0123456789abcdé"])
def test_a_token_that_is_easily_guessed_or_sent_wrongly_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    with pytest.raises(ConfigError, match="openssl rand"):
        read_token(path)


def test_a_token_file_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be reached"):
        read_token(tmp_path / "none")
