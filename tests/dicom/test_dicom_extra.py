"""DICOM objects need an extra, and say so; nothing else does."""

import subprocess
import sys

import pytest

_WITHOUT = "import sys; sys.modules['highdicom'] = None; "


def test_without_highdicom_the_extra_is_named() -> None:
    told = subprocess.run([sys.executable, "-c", f"{_WITHOUT}import bayescope.dicom"], capture_output=True, text=True)
    assert "install the extra: pip install 'bayescope[dicom]'" in told.stderr


@pytest.mark.slow
def test_without_highdicom_commands_work() -> None:
    told = subprocess.run([sys.executable, "-c", f"{_WITHOUT}import bayescope.cli.main, bayescope.inference.read"])
    assert told.returncode == 0
