"""A trained run as an HTTP service, with a page to read its predictions with.

Needs the extra ``bayescope[serve]``.
"""

from bayescope.errors import ConfigError

try:
    import fastapi  # noqa: F401
    import sse_starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise ConfigError(
        f"the service needs FastAPI and uvicorn ({error}); install the extra: pip install 'bayescope[serve]'"
    ) from None
