"""The report as one HTML page that needs no other file."""

from collections.abc import Sequence

from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report import html
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.sections import SECTIONS, Section


def render(found: Evaluation, context: Context, sections: Sequence[Section] = SECTIONS) -> str:
    """HTML of the page, one section after another."""
    parts = [part for section in sections if (part := section(found, context)) is not None]
    return html.page("page.html.j2", title=context.title, sections=parts)
