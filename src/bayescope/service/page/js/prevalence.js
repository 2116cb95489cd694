// The prevalence of each class, on sliders that are linear in the log odds.

import { withPrevalence, percent } from "./bayes.js";
import { element } from "./chart.js";

const REACH = 3; // powers of ten of the odds, either way

const toSlider = (p) => Math.log10(p / (1 - p));
const fromSlider = (value) => 1 / (1 + 10 ** -value);

/** Sliders in `place`; `changed(prevalence)` is called whenever one moves.  With two classes the first follows from the second. */
export function prevalenceSliders(place, start, changed) {
  let prevalence = { ...start };
  const names = Object.keys(start);
  const shown = names.length === 2 ? names.slice(1) : names;
  const inputs = new Map();
  for (const name of shown) {
    const range = element("input", {
      type: "range",
      min: -REACH,
      max: REACH,
      step: 0.01,
      "aria-label": `Prevalence of ${name}`,
    });
    const number = element("input", {
      type: "number",
      min: 0.1,
      max: 99.9,
      step: "any",
      "aria-label": `Prevalence of ${name} in percent`,
      class: "percent",
    });
    range.addEventListener("input", () => set(name, fromSlider(Number(range.value))));
    number.addEventListener("change", () => {
      const value = Number(number.value) / 100;
      if (value > 0 && value < 1) set(name, value);
      else show();
    });
    inputs.set(name, { range, number });
    place.append(element("label", { class: "slider" }, element("span", {}, name), range, element("span", {}, number, " %")));
  }
  const reset = element("button", { type: "button", id: "reset-prevalence" }, "Reset");
  reset.addEventListener("click", () => apply({ ...start }));
  place.closest("fieldset").querySelector("legend").append(" ", reset);

  const set = (name, value) => apply(withPrevalence(prevalence, name, value));
  function apply(next) {
    prevalence = next;
    show();
    changed(prevalence);
  }
  function show() {
    for (const [name, { range, number }] of inputs) {
      range.value = toSlider(prevalence[name]);
      range.setAttribute("aria-valuetext", percent(prevalence[name]));
      if (document.activeElement !== number) number.value = Number((100 * prevalence[name]).toPrecision(3));
    }
  }
  show();
}
