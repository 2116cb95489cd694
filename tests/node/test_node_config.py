"""Settings of a node: what is refused, and how it is told."""

from pathlib import Path
from typing import Any, get_args

import pytest

from bayescope.data.groups import GROUPS
from bayescope.errors import ConfigError
from bayescope.node.config import CombineConfig, Route, read_node_config
from bayescope.node.peers import Caller
from nodes import RUN, node_config

GOOD = """
folder = "node"
[listen]
callers = [{ ae_title = "PACS", addresses = ["10.1.0.0/16"] }]
[[destinations]]
name = "archive"
ae_title = "PACS"
address = "10.1.0.5"
port = 104
"""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("port = 104", "port = 104\nprot = 1"), r"destinations.0.by C-STORE.prot: unknown key"),
        (('folder = "node"', 'folder = "node"\nfodler = 1'), "fodler: unknown key"),
        (("port = 104", "port = 0"), "found 0; expected"),
        (('"PACS", addresses', '"PACS\\\\", addresses'), "1 to 16 printable ASCII characters"),
        (("10.1.0.0/16", "10.1.0.1/16"), "has host bits set"),
        (("[listen]", "[reading]\n[listen_]"), r"listen_: unknown key"),
        (("callers = [{", "callers = []\n# [{"), "listen.callers"),
    ],
    ids=str,
)
def test_mistakes_are_told_by_key(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    path = tmp_path / "node.toml"
    path.write_text(GOOD)
    assert read_node_config(path).destinations[0].name == "archive"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(ConfigError, match=told):
        read_node_config(path)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"listen": None}, r"\[listen\], \[poll\] or both"),
        ({"destinations": [{"name": "a", "url": "http://b"}, {"name": "a", "url": "http://c"}]}, "different names"),
        ({"routes": [{"description": "("}]}, "a regular expression"),
        ({"poll": {"url": "ftp://a"}}, "poll.url"),
        ({"combine": {"by": "film"}}, "expected: Input should be 'study', 'breast', 'patient' or 'none'"),
        ({"combine": {"quiet_s": -1}}, "combine.quiet_s: found -1"),
    ],
    ids=str,
)
def test_settings_that_contradict(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        node_config(tmp_path, **settings)


@pytest.mark.parametrize(
    ("addresses", "address", "may"),
    [
        ((), "192.0.2.1", True),
        (("10.0.0.0/8",), "10.20.30.40", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("10.0.0.1", "fd00::/8"), "fd00::1", True),
        (("10.0.0.1",), "10.0.0.2", False),
    ],
    ids=str,
)
def test_addresses_of_callers(addresses: tuple[str, ...], address: str, may: bool) -> None:
    assert Caller(ae_title="A", addresses=addresses).may_call_from(address) is may


def test_a_study_is_quiet_once_a_search_could_have_found_more(tmp_path: Path) -> None:
    combine, poll = {"quiet_s": 45}, {"url": "http://a", "every_s": 30}
    assert node_config(tmp_path, combine=combine).quiet_s == 45
    assert node_config(tmp_path, combine=combine, poll=poll).quiet_s == 75


def test_the_words_for_what_is_combined_are_those_of_the_command() -> None:
    assert {*get_args(CombineConfig.model_fields["by"].annotation)} == {*GROUPS, "none"}


def test_runs_are_those_of_the_routes(tmp_path: Path) -> None:
    a, b = Path("a"), Path("b")
    routes = [Route(runs=(a, b)), Route(), Route(runs=()), Route(runs=(b,))]
    assert node_config(tmp_path, routes=[route.model_dump() for route in routes]).runs(RUN) == (a, b, RUN)
    assert node_config(tmp_path).runs(RUN) == (RUN,)
