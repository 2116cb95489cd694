// Small drawings: probabilities as a bar, a likelihood ratio on a log scale.

import { interval, inWords, percent, rounded } from "./bayes.js";

const SVG = "http://www.w3.org/2000/svg";
const REACH = Math.log(1000);
const TICKS = [1 / 1000, 1 / 100, 1 / 10, 1, 10, 100, 1000];
const WIDTH = 240,
  MARGIN = 14;

const DRAWN = new Set(["svg", "line", "circle", "path", "text"]);

/** An element of HTML or SVG; attributes that are false, null or undefined are left out, except ARIA's. */
export function element(name, attributes = {}, ...children) {
  const made = DRAWN.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("aria-")) made.setAttribute(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** One part for each class, the one in question filled. */
export function probabilityBar(posterior, shown, error) {
  const bar = element("div", {
    class: "bar",
    role: "img",
    "aria-label": `probability of ${shown}: ${percent(posterior[shown])}`,
  });
  bar.append(element("i", { style: `width:${100 * posterior[shown]}%` }));
  if (error !== null && error !== undefined) {
    const low = Math.max(0, posterior[shown] - 1.645 * error),
      high = Math.min(1, posterior[shown] + 1.645 * error);
    bar.append(element("b", { style: `left:${100 * low}%;width:${100 * (high - low)}%` }));
  }
  return bar;
}

function place(logRatio) {
  const within = Math.max(-REACH, Math.min(REACH, logRatio));
  return MARGIN + ((within + REACH) / (2 * REACH)) * (WIDTH - 2 * MARGIN);
}

/** A dot with its 90 % interval; an arrow where it is beyond the scale. */
export function ratioScale(logRatio, error) {
  const ends = interval(logRatio, error);
  const side = logRatio >= 0 ? "for" : "against";
  const svg = element("svg", {
    viewBox: `0 0 ${WIDTH} 26`,
    class: `ratio ${side}`,
    role: "img",
    "aria-label": ratioText(logRatio, error),
  });
  svg.append(element("line", { x1: MARGIN, x2: WIDTH - MARGIN, y1: 10, y2: 10, class: "axis" }));
  for (const tick of TICKS) {
    const x = place(Math.log(tick));
    svg.append(
      element("line", { x1: x, x2: x, y1: tick === 1 ? 2 : 7, y2: tick === 1 ? 18 : 13, class: tick === 1 ? "one" : "tick" }),
    );
    if (tick === 1 || Math.abs(Math.log10(tick)) % 2 === 1) {
      svg.append(element("text", { x, y: 25 }, tick >= 1 ? String(tick) : `1/${Math.round(1 / tick)}`));
    }
  }
  if (ends) {
    const [from, to] = ends.map(place);
    svg.append(element("line", { x1: from, x2: Math.max(to, from + 2), y1: 10, y2: 10, class: "whisker" }));
  }
  const x = place(logRatio);
  const beyond = Math.abs(logRatio) > REACH;
  const arrow = logRatio > 0 ? `M${x - 5} 4L${x + 6} 10L${x - 5} 16Z` : `M${x + 5} 4L${x - 6} 10L${x + 5} 16Z`;
  svg.append(beyond ? element("path", { d: arrow, class: "dot" }) : element("circle", { cx: x, cy: 10, r: 4.5, class: "dot" }));
  return svg;
}

/** "12 times (8.1 – 18)". */
export function ratioText(logRatio, error) {
  const ends = interval(logRatio, error);
  return ends ? `${inWords(logRatio)} (${shortly(ends[0])} – ${shortly(ends[1])})` : inWords(logRatio);
}

const shortly = (logRatio) => (logRatio >= 0 ? rounded(Math.exp(logRatio)) : `1/${rounded(Math.exp(-logRatio))}`);
