"""The walker: every file is given back or left out with its reason, links are followed, and nothing is read twice."""

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescope.data.filesystem.walk import is_hidden, walk
from bayescope.errors import DataError

HIDDEN = (".ipynb_checkpoints", "@eaDir", "__MACOSX", ".git", "#recycle", "$RECYCLE.BIN", "System Volume Information")
NAMES = st.sampled_from(["a", "b", "c.png", "d.txt", "e f.png", "Zoë.png", ".hid", "._a.png", "Thumbs.db", "DICOMDIR", *HIDDEN])
TREES = st.recursive(st.just(None), lambda inner: st.dictionaries(NAMES, inner, max_size=5), max_leaves=25)
LINKS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)


def build(folder: Path, tree: dict) -> None:
    folder.mkdir()
    for name, inner in tree.items():
        if inner is None:
            (folder / name).write_bytes(b"x")
        else:
            build(folder / name, inner)


def names_of(left_out: tuple) -> dict[str, str]:
    return {file.path.name: file.reason for file in left_out}


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=6), LINKS)
def test_every_file_of_any_tree_is_accounted_for(tree: dict, links: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as made:
        root = Path(made).resolve() / "root"
        build(root, tree)
        files = {path for path in root.rglob("*") if path.is_file()}
        visible = {path for path in files if not any(map(is_hidden, path.relative_to(root).parts))}
        everything = sorted([root, *root.rglob("*")])
        folders, linked = [path for path in everything if path.is_dir()], set()
        for number, (place, target) in enumerate(links):
            link = folders[place % len(folders)] / f"link{number}"
            link.symlink_to(everything[target % len(everything)])
            linked.add(link)
        found = walk(root)
        given_back, left_out = set(found.files), {file.path for file in found.left_out}
        assert len(given_back) == len(found.files)
        assert not given_back & left_out
        assert {path.resolve() for path in given_back} >= visible  # what is not hidden is read, under one name or another
        assert len({path.resolve() for path in given_back}) == len(given_back)
        assert {path for path in given_back | left_out if path in files} == files
        assert linked <= {path for seen in given_back | left_out for path in (seen, *seen.parents)} | empty_links(linked)
        account = found.account(len(found.files), [])
        assert account.found == account.used + sum(account.left_out.values())
        assert walk(root) == found


def empty_links(links: set[Path]) -> set[Path]:
    """Links to hidden folders in which nothing lies: nothing is found behind them."""
    return {link for link in links if link.is_dir() and not any(path for path in link.rglob("*") if not path.is_dir())}


def test_what_systems_leave_is_left_out_wherever_it_lies(tmp_path: Path) -> None:
    for folder in HIDDEN:
        (tmp_path / "a" / folder / "deep").mkdir(parents=True)
        (tmp_path / "a" / folder / "deep" / "1.png").write_bytes(b"x")
    for name in ("1.png", "._1.png", ".DS_Store", "Thumbs.db", "desktop.ini", "DICOMDIR"):
        (tmp_path / "a" / name).write_bytes(b"x")
    found = walk(tmp_path)
    assert found.files == (tmp_path / "a" / "1.png",)
    reasons = Counter(file.reason for file in found.left_out)
    assert reasons == {f"in folder {name}, which is hidden or a system's": 1 for name in HIDDEN} | {
        "hidden or a system's file": 5
    }


def test_the_root_may_be_hidden(tmp_path: Path) -> None:
    (tmp_path / ".cache" / "a").mkdir(parents=True)
    (tmp_path / ".cache" / "a" / "1.png").write_bytes(b"x")
    assert walk(tmp_path / ".cache").files == (tmp_path / ".cache" / "a" / "1.png",)


def test_links_are_followed_once_and_real_names_win(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    (outside / "sub").mkdir(parents=True)
    (root / "z").mkdir(parents=True)
    for path in (outside / "1.png", outside / "sub" / "2.png", root / "z" / "3.png"):
        path.write_bytes(b"x")
    (root / "a").symlink_to(root / "z")
    (root / "b").symlink_to(outside)
    (root / "c.png").symlink_to(outside / "sub" / "2.png")
    (root / "d.png").symlink_to(root / "z" / "3.png")
    (root / "z" / "up").symlink_to(root)
    (root / "loop").symlink_to(root / "loop")
    (root / "gone").symlink_to(root / "nowhere")
    found = walk(root)
    assert [str(path.relative_to(root)) for path in found.files] == ["b/1.png", "b/sub/2.png", "z/3.png"]
    assert names_of(found.left_out) == {
        **dict.fromkeys(("a", "c.png", "d.png", "up"), "read already under another name"),
        **dict.fromkeys(("loop", "gone"), "link that leads nowhere"),
    }
    assert {file.path.name: file.same_as for file in found.left_out}["d.png"] == root / "z" / "3.png"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert names_of(walk(tmp_path).left_out) == {"pipe.png": "no regular file"}


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes(b"x")
    assert walk(tmp_path).files == (tmp_path / name,)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        walk(tmp_path / "gone")
