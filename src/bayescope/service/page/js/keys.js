// Keys that work anywhere on the page but in a field of text.

import { shift } from "./viewer.js";

const get = (id) => document.getElementById(id);

export function listenToKeys({ list, viewer, openRow, closeViewer }) {
  const toggle = (id) => get(id).click();
  const slide = (id, by) => {
    shift(id, by);
    get(id).dispatchEvent(new Event("input"));
  };
  const step = (by) => {
    const rows = list.ordered.filter((row) => row.record);
    const row = rows[rows.indexOf(list.selected) + by];
    if (row) openRow(row);
  };
  const always = {
    o: () => get("files").click(),
    f: () => get("folder").click(),
    "?": () => get("keys").showModal(),
    j: () => step(1),
    k: () => step(-1),
  };
  const viewing = {
    Escape: closeViewer,
    m: () => toggle("show-map"),
    c: () => toggle("show-counterfactual"),
    d: () => toggle("show-detail"),
    "[": () => slide("opacity", -0.1),
    "]": () => slide("opacity", 0.1),
    w: () => slide("window-width", -5),
    W: () => slide("window-width", 5),
    l: () => slide("window-level", -5),
    L: () => slide("window-level", 5),
    "+": () => viewer.zoom(1.4),
    "-": () => viewer.zoom(1 / 1.4),
    0: () => viewer.reset(),
  };
  document.addEventListener(
    "keydown",
    (event) => {
      const inText = event.target.matches("input:not([type=range]):not([type=checkbox]), select, textarea");
      if (inText || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      const act = (viewer.isOpen && viewing[event.key]) || always[event.key];
      if (!act) return;
      event.preventDefault();
      event.stopPropagation();
      act();
    },
    { capture: true },
  );
}
