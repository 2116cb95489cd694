"""Words of the configuration: each names something, and a wrong one is refused before the first step."""

from pathlib import Path

import pytest

from bayescope.config import Config, parse_config
from bayescope.data.dataset import Dataset
from bayescope.errors import ConfigError, lookup
from bayescope.fitting.fit import fit
from bayescope.fitting.words import WORDS, check_words
from conftest import Call


def with_word(key: str, word: str) -> Config:
    section, name = key.split(".")
    return parse_config({section: {name: word}})


@pytest.mark.parametrize("key", WORDS)
def test_a_wrong_word_is_refused_before_the_first_step(tiny_data: Dataset, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        fit(tiny_data, with_word(key, "nonsense"), watch=pytest.fail)
    assert str(refused.value) == f"{key}: found 'nonsense'; expected one of {', '.join(WORDS[key])}"


@pytest.mark.parametrize(("key", "word"), [(key, word) for key, table in WORDS.items() for word in table])
def test_every_word_is_accepted(key: str, word: str) -> None:
    check_words(with_word(key, word))


def test_all_wrong_words_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"net\.kind: found 'x'.*\ntraining\.loss: found 'y'"):
        check_words(parse_config({"net": {"kind": "x"}, "training": {"loss": "y"}}))


def test_every_setting_that_is_a_word_is_checked() -> None:
    sections = {
        name: field.annotation for name, field in Config.model_fields.items() if hasattr(field.annotation, "model_fields")
    }
    texts = {
        f"{s}.{key}"
        for s, section in sections.items()
        for key, field in section.model_fields.items()
        if field.annotation is str
    }
    assert texts == set(WORDS)


def test_the_command_refuses_before_it_reads_data(cli: Call, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[training]\noptimizer = 'sgd'\n")
    told = cli("train", tmp_path / "missing.npz", "--out", tmp_path / "run", "--config", tmp_path / "c.toml")
    assert told.code == 2
    assert "training.optimizer: found 'sgd'; expected one of adamw, adam, muon" in " ".join(told.err.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["solver", "trace"])
def test_the_help_names_the_words_of_the_flow(cli: Call, option: str) -> None:
    help_text = cli("likelihood", "--help").out
    assert all(word in help_text for word in WORDS[f"flow.{option}"])


def test_lookup() -> None:
    assert lookup({"a": 1}, "a", "key") == 1
    with pytest.raises(ConfigError, match="key: found 'b'; expected one of a"):
        lookup({"a": 1}, "b", "key")
