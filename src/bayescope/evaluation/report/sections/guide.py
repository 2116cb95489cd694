"""How to read a log-likelihood ratio."""

from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.html import fragment

_TEMPLATE = """
<section><h2>How to read this</h2>
<p>The log-likelihood ratio (LLR) of a class states how much more probable the image is under that class than under the
others. In nats: 0 carries no information, +2.3 multiplies the odds by ten, -2.3 divides them by ten. Odds before the
image times exp(LLR) are the odds after it, whatever the prevalence. The number after ± is the Monte Carlo standard
error of the estimate; it does not cover what the model has not learned.</p></section>
"""


def section(found: Evaluation, context: Context) -> str:
    """The same for every report."""
    return fragment(_TEMPLATE)
