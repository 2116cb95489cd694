// The model card as a page.

import { percent } from "./bayes.js";
import { element } from "./chart.js";

export function cardView(card) {
  const rows = [
    ["Classes", card.class_names.join(", ")],
    ["Training data", `${card.data.source ?? "unknown"} · ${(card.data.fingerprint ?? "").slice(0, 12)}`],
    ...(card.data.notes ?? []).map((note) => ["", note]),
    [
      "Images",
      `${card.image_shape.join(" × ")} (channel, height, width), ${card.pixel_type}${card.reads_dicom ? "; reads DICOM" : ""}`,
    ],
    [
      "Calibration",
      card.calibration.calibrated
        ? `${card.calibration.kind}, on ${counts(card.calibration.images)}`
        : "none: ratios are raw and overstate",
    ],
    ["Prediction sets", card.decisions ? `hold the true class in ${percent(1 - card.decisions.miscoverage)}` : "not fitted"],
    [
      "Abstention",
      card.decisions && !card.decisions.warning
        ? `at most ${percent(card.decisions.risk)} errors among the answers`
        : "not fitted",
    ],
    ["Novelty test", card.novelty ? `against ${card.novelty.images} held-out images` : "not fitted"],
    ["Drift", `${card.drift.finding} (${card.drift.looks} looks, at the last ${card.drift.images} images)`],
    ...measures(card.measures),
    ["Model", `${card.fingerprint.slice(0, 16)} · Bayescope ${card.version}`],
  ];
  return [
    element("h2", {}, "Model card"),
    element(
      "table",
      { class: "card" },
      ...rows.map(([name, text]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, text))),
    ),
    element("h3", {}, "Limits"),
    element("ul", {}, ...card.limits.map((text) => element("li", {}, text))),
  ];
}

const counts = (images) =>
  Object.entries(images)
    .map(([name, count]) => `${count} ${name}`)
    .join(", ");

/** Estimates with their intervals, wherever they stand in what was measured. */
function measures(found, path = []) {
  return Object.entries(found).flatMap(([key, value]) => {
    if (!value || typeof value !== "object" || Array.isArray(value)) return [];
    if (typeof value.value !== "number") return measures(value, [...path, key]);
    const interval = typeof value.low === "number" ? ` (${value.low.toFixed(3)} – ${value.high.toFixed(3)})` : "";
    return [[[...path, key].join(" · "), `${value.value.toFixed(3)}${interval}`]];
  });
}
