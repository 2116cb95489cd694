"""The optional packages that a node needs."""

from importlib.util import find_spec

from bayescope.errors import ConfigError

PACKAGES = ("dicomweb_client", "highdicom", "prometheus_client", "pynetdicom")


def check_installed() -> None:
    """Raise ConfigError unless all optional packages are there."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise ConfigError(
            f"a DICOM node: {', '.join(missing)} not installed; expected the optional packages of DICOM. Install them: "
            "`pip install 'bayescope[dicom]'`"
        )
