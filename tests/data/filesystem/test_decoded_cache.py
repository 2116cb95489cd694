"""The cache of decoded images: never another image, never an error, never more than its bytes."""

import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bayescope.data.filesystem import decoded_cache
from bayescope.data.filesystem.decoded_cache import BYTES, FOLDER, DecodedImages
from bayescope.data.filesystem.image_files import read_images
from bayescope.data.formats.images import read_image
from bayescope.errors import ConfigError
from bayescope.types import Pixels


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files decoded."""
    read: list[str] = []

    def counted(path: Path, size: int | None = None, warn: object = None) -> Pixels:
        read.append(path.name)
        return read_image(path, size)

    monkeypatch.setattr(decoded_cache, "read_image", counted)
    return read


def save(path: Path, seed: int = 0, side: int = 600) -> Path:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side)).astype(np.uint8)).save(path)
    return path


def test_a_file_is_decoded_once(tmp_path: Path, folder: Path, decodings: list[str]) -> None:
    path = save(tmp_path / "MILLER^ANNA.png")
    first, again = (read_images([path], 32) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[0], read_image(path, 32))
    np.testing.assert_array_equal(read_images([path], None)[0], read_image(path))  # another size is another entry
    assert decodings == ["MILLER^ANNA.png"] * 2
    assert not [entry for entry in folder.iterdir() if "MILLER" in entry.name or b"MILLER" in entry.read_bytes()]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in folder.iterdir()} == {0o600}


def test_a_changed_file_is_read_anew(tmp_path: Path, decodings: list[str]) -> None:
    path = save(tmp_path / "a.png", 1)
    before, about = read_images([path], 32), path.stat()
    other = save(tmp_path / "b.png", 2)
    content = other.read_bytes()[: about.st_size]
    path.write_bytes(content + b"\0" * (about.st_size - len(content)))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # as a copying tool would have it
    assert path.stat().st_size == about.st_size
    assert path.stat().st_mtime_ns == about.st_mtime_ns
    if len(other.read_bytes()) <= about.st_size:
        np.testing.assert_array_equal(read_images([path], 32), read_images([other], 32))
        assert (read_images([path], 32) != before).any()
    assert decodings.count("a.png") == 2


@pytest.mark.parametrize("damage", ["cut", "blank", "flipped", "pickle", "other"])
def test_a_damaged_entry_is_ignored_and_written_anew(tmp_path: Path, folder: Path, decodings: list[str], damage: str) -> None:
    path = save(tmp_path / "a.png")
    expected = read_images([path], 32)
    (entry,) = folder.iterdir()
    content = entry.read_bytes()
    flipped = bytearray(content)
    flipped[-100] ^= 1
    if damage == "other":
        read_images([save(tmp_path / "b.png", 3)], 32)
        content = next(one for one in folder.iterdir() if one != entry).read_bytes()
    damaged = {"cut": content[:-5], "blank": b"", "flipped": bytes(flipped), "pickle": b"\x80\x04N.", "other": content}
    entry.write_bytes(damaged[damage])
    for _ in range(2):
        np.testing.assert_array_equal(read_images([path], 32), expected)
    assert decodings.count("a.png") == 2


def test_the_cache_keeps_within_its_bytes_and_forgets_the_oldest(
    tmp_path: Path, folder: Path, decodings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BYTES, str(4_000_000))  # eleven images
    paths = [save(tmp_path / f"{i}.png", i) for i in range(16)]
    images = DecodedImages.opened()
    for number, path in enumerate(paths):
        images.read(path, None)
        images.read(paths[0], None)  # used all the time, so never the oldest
        for entry in folder.iterdir():
            about = entry.stat()
            os.utime(entry, ns=(about.st_atime_ns, about.st_mtime_ns - 10**9))
        assert sum(entry.stat().st_size for entry in folder.iterdir()) <= 4_000_000, number
    assert decodings.count("0.png") == 1
    assert DecodedImages.opened().read(paths[15], None) is not None
    assert decodings.count("15.png") == 1
    DecodedImages.opened().read(paths[1], None)
    assert decodings.count("1.png") == 2


@pytest.mark.parametrize("told", ["", "off", " OFF "])
def test_it_can_be_turned_off(
    tmp_path: Path, folder: Path, decodings: list[str], monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.setenv(FOLDER, told)
    path = save(tmp_path / "a.png")
    for _ in range(2):
        read_images([path], 32)
    assert (decodings, folder.exists()) == (["a.png"] * 2, False)


def test_without_a_word_it_lies_in_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER)
    monkeypatch.setattr(decoded_cache.platformdirs, "user_cache_dir", lambda name, appauthor: str(tmp_path / "home" / name))
    assert DecodedImages.opened().folder == tmp_path / "home" / "bayescope" / "decoded"


@pytest.mark.parametrize("trouble", ["file in the way", "full disk", "folder gone"])
def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    path = save(tmp_path / "a.png")
    if trouble == "file in the way":
        folder.write_text("x")
    elif trouble == "full disk":
        monkeypatch.setattr(Path, "write_bytes", full_disk)
    images = DecodedImages.opened()
    if trouble == "folder gone":
        folder.rmdir()
    np.testing.assert_array_equal(images.read(path, 32), read_image(path, 32))
    assert not folder.is_dir() or not list(folder.iterdir())


def full_disk(path: Path, content: bytes) -> int:
    raise OSError(28, "No space left on device")


def test_small_and_broken_files_are_not_kept(tmp_path: Path, folder: Path) -> None:
    read_images([save(tmp_path / "small.png", side=24)], None)
    assert list(folder.iterdir()) == []


def test_many_at_once_read_the_same(tmp_path: Path) -> None:
    paths, wrong = [save(tmp_path / f"{i}.png", i) for i in range(3)], []
    expected = [read_image(path, 16) for path in paths]

    def read() -> None:
        for _ in range(5):
            wrong.extend(i for i, path in enumerate(paths) if (DecodedImages.opened().read(path, 16) != expected[i]).any())

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_limit_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BYTES, "2 GB")
    with pytest.raises(ConfigError, match=f"{BYTES} is '2 GB'; expected a number of bytes"):
        DecodedImages.opened()
