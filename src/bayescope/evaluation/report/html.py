"""HTML from Jinja templates: text is escaped, HTML fragments are not."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bayescope.metrics.bootstrap import Estimate

_ENVIRONMENT = Environment(loader=PackageLoader("bayescope.evaluation.report", "."), autoescape=True, undefined=StrictUndefined)


def fragment(template: str, **values: Any) -> Markup:
    """HTML of a Jinja template given as text.

    Parameters
    ----------
    template : str
        The template.  Filters ``fixed`` (digits after the point), ``interval`` (ends of an estimate) and ``shares``
        (numbers by name) are available in addition to Jinja's own.
    **values
        Its variables.  Text is escaped; what :func:`fragment` or a figure returned is not.
    """
    return Markup(_ENVIRONMENT.from_string(template).render(values))


def page(name: str, **values: Any) -> str:
    """HTML of a template file of this package."""
    return _ENVIRONMENT.get_template(name).render(values)


def fixed(number: float, digits: int = 3) -> str:
    """A number with so many digits after the point."""
    return f"{number:.{digits}f}"


def interval(estimate: Estimate, digits: int = 3) -> str:
    """The ends of an estimate's interval."""
    return estimate.ends(digits)


def shares(numbers: Mapping[str, float]) -> str:
    """Numbers by name, separated by commas."""
    return ", ".join(f"{name} {number:.4g}" for name, number in numbers.items())


_ENVIRONMENT.filters |= {"fixed": fixed, "interval": interval, "shares": shares}
