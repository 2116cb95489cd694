"""Sliders that turn prevalence and log-likelihood ratio into a post-test probability."""

from bayescope.evaluation.evaluate import Evaluation
from bayescope.evaluation.report.context import Context
from bayescope.evaluation.report.html import fragment

_TEMPLATE = """
<section><h2>From likelihood ratio to probability</h2>
<p class="soft">Odds after the image = odds before × likelihood ratio; probability = odds / (1 + odds). Set how common the
class is where the image comes from, and what the image says.</p>
<div class="slider">
<label for="k">Class</label><select id="k">{% for name in data.names -%}
<option value="{{ loop.index0 }}"{{ " selected" if loop.index0 == data.first }}>{{ name }}</option>
{%- endfor %}</select><output></output>
<label for="before">Prevalence of <span id="name">{{ data.names[data.first] }}</span></label>
<input id="before" type="range" min="-6.9" max="6.9" step="0.02" value="-2.2"><output id="before-out"></output>
<label for="llr">Log-likelihood ratio, nats</label>
<input id="llr" type="range" min="-8" max="8" step="0.05" value="2.3"><output id="llr-out"></output>
</div>
<p style="margin:14px 0 0">Probability of <span id="named">{{ data.names[data.first] }}</span> after the image
<span class="post" id="after"></span></p><div class="track"><i id="bar"></i></div>
<p class="soft" id="values"></p>
<script>
(() => {
const data = {{ data | tojson }}, at = id => document.getElementById(id);
const chance = x => 1 / (1 + Math.exp(-x));
const percent = p => {
  const q = 100 * Math.min(p, 1 - p);
  return (100 * p).toFixed(q === 0 ? 0 : q < 0.1 ? 3 : q < 1 ? 2 : 1) + " %";
};
const show = () => {
  const k = +at("k").value, before = +at("before").value, llr = +at("llr").value,
    p = chance(before), after = chance(before + llr);
  at("name").textContent = at("named").textContent = data.names[k];
  at("before-out").textContent = percent(p);
  at("llr-out").textContent = (llr < 0 ? "" : "+") + llr.toFixed(2) + " (× " + Math.exp(llr).toPrecision(2) + ")";
  at("after").textContent = percent(after);
  at("bar").style.width = 100 * after + "%";
  let hits = 0, ill = 0, alarms = 0, well = 0;
  data.labels.forEach((label, i) => {
    const called = before + data.ratios[k][i] > 0;
    if (label === k) { ill++; hits += called; } else { well++; alarms += called; }
  });
  const found = p * hits / ill, false_alarms = (1 - p) * alarms / well,
    share = (a, b) => a + b > 0 ? percent(a / (a + b)) : "no image";
  at("values").textContent = ill && well ? "Calling an image " + data.names[k]
    + " where this exceeds 50 %, by the images of this report: for this class, sensitivity "
    + percent(hits / ill) + ", specificity " + percent(1 - alarms / well)
    + ", positive predictive value " + share(found, false_alarms)
    + ", negative predictive value " + share((1 - p) * (1 - alarms / well), p * (1 - hits / ill)) + "." : "";
};
["k", "before", "llr"].forEach(id => at(id).addEventListener("input", show));
show();
})();
</script></section>
"""


def section(found: Evaluation, context: Context) -> str:
    """The sliders, with each class's ratios and which images are of it."""
    names = list(found.model.class_names)
    data = {
        "names": names,
        "first": names.index(found.positive) if found.positive else 0,
        "ratios": found.predictions.log_likelihood_ratio.T.round(3).tolist(),
        "labels": found.images.labels.tolist(),
    }
    return fragment(_TEMPLATE, data=data)
