"""Every error tells what to do, and that can be done: the table in ``remedies.py``, followed and complete."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bayescope
import remedies_archive  # noqa: F401  registers more remedies
import remedies_data  # noqa: F401
import remedies_dicom  # noqa: F401
import remedies_integrations  # noqa: F401
import remedies_node  # noqa: F401
import remedies_processes  # noqa: F401
import remedies_service  # noqa: F401
from bayescope import errors
from bayescope.config import Config
from bayescope.data.dataset import Dataset
from remedies import NOT_FOLLOWED, REMEDIES, Follow, Place

SOURCE = Path(bayescope.__file__).parent
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.BayescopeError)}
FOLLOWED = list(dict.fromkeys(REMEDIES.values()))


@pytest.mark.slow
@pytest.mark.parametrize("follow", FOLLOWED, ids=lambda follow: follow.__name__)
@pytest.mark.usefixtures("few_cases", "one_process")
def test_following_the_advice_works(
    follow: Follow,
    cli: Callable[..., Any],
    tiny_run: Path,
    tiny_npz: Path,
    tiny_config: Config,
    tiny_data: Dataset,
    prepared_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evidence = tiny_config.evidence.model_copy(update={"levels": 2, "calibration_augmentation": 0.0})
    config = tiny_config.model_copy(update={"evidence": evidence})
    place = Place(tmp_path, cli, tiny_run, tiny_npz, config, tiny_data, prepared_run, monkeypatch)
    follow(place)
    told = "\n".join(place.told)
    for (site, says), function in REMEDIES.items():
        if function is follow and "{}" not in says:
            assert says in told, (site, says)


def _text(node: ast.AST) -> str:
    """The text of an expression as it stands in the source, ``{}`` for what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return "{}"


def _sites(path: Path) -> Iterator[tuple[str, str]]:
    """``(module:function, text)`` of every error that is made in a module."""
    module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)

    def visit(node: ast.AST, function: str) -> Iterator[tuple[str, str]]:
        for child in ast.iter_child_nodes(node):
            inside = child.name if isinstance(child, ast.FunctionDef) else function
            called = child.func if isinstance(child, ast.Call) else None
            name = called.id if isinstance(called, ast.Name) else ""
            if name in ERRORS or (name == "kind" and module == "errors"):
                assert isinstance(child, ast.Call)
                yield f"{module}:{inside}", "".join(map(_text, child.args))
            yield from visit(child, inside)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), "")


SITES = sorted({site for path in SOURCE.rglob("*.py") for site in _sites(path)})


def _covers(entry: tuple[str, str], site: tuple[str, str]) -> bool:
    (where, says), (place, text) = entry, site
    return where in (place, place.partition(":")[0]) and says in text


@pytest.mark.parametrize("site", SITES, ids=[f"{place} {text[:40]}" for place, text in SITES])
def test_every_error_is_in_the_table(site: tuple[str, str]) -> None:
    assert any(_covers(entry, site) for entry in (*REMEDIES, *NOT_FOLLOWED)), (
        "an error without a test that follows its advice: add one to tests/remedies.py, or the reason to NOT_FOLLOWED"
    )


@pytest.mark.parametrize("entry", [*REMEDIES, *NOT_FOLLOWED], ids=" ".join)
def test_the_table_names_errors_that_exist(entry: tuple[str, str]) -> None:
    assert any(_covers(entry, site) for site in SITES)


def test_the_walk_finds_errors_wherever_they_are_made() -> None:
    found = dict.fromkeys(place for place, _ in SITES)
    expected = {
        "errors:writing",
        "training.loop:divergence_error",
        "inference.model_units:to_model_units",
        "data.formats.medmnist:_labels",
    }
    assert expected <= set(found)
    assert len(SITES) > 100
