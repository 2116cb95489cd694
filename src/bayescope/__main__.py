"""``python -m bayescope`` is the command line."""

from bayescope.cli.main import run

run()
