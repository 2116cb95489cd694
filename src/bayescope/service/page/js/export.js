// Files made of the list: CSV and JSON at the prevalence shown, and structured reports from the service.

import { atPrevalence } from "./bayes.js";
import { report } from "./api.js";

const COLUMNS = ["posterior", "log_likelihood_ratio", "standard_error", "prevalence"];

export function asJson(rows, prevalence) {
  return JSON.stringify(
    rows.map((row) => (row.record ? atPrevalence(row.record, prevalence) : { image: row.name, error: row.error })),
    null,
    1,
  );
}

export function asCsv(rows, prevalence) {
  const records = rows.filter((row) => row.record).map((row) => [row, atPrevalence(row.record, prevalence)]);
  const names = Object.keys(prevalence);
  const head = [
    "image",
    "group",
    "class",
    ...COLUMNS.flatMap((column) => names.map((name) => `${column} ${name}`)),
    "novelty_p_value",
    "abstained",
    "prediction_set",
    "passes",
    "warnings",
  ];
  const lines = records.map(([row, found]) => [
    row.name,
    row.group,
    found.class,
    ...COLUMNS.flatMap((column) => names.map((name) => found[column][name])),
    found.novelty_p_value,
    found.abstained,
    found.prediction_set?.join("; "),
    found.passes,
    found.warnings.join("; "),
  ]);
  return [head, ...lines].map((cells) => cells.map(quoted).join(",")).join("\r\n") + "\r\n";
}

/** A text that a spreadsheet would take for a formula gets an apostrophe in front. */
function quoted(value) {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Structured reports of the DICOM images of the list, one after the other; returns how many there were. */
export async function saveReports(rows, prevalence) {
  let saved = 0;
  for (const row of rows.filter((found) => found.record && found.isDicom)) {
    save(
      await report(row.source, { prevalence, frame: row.frame }),
      `${row.name
        .split("/")
        .pop()
        .replace(/\.dcm$/i, "")}-report.dcm`,
    );
    saved += 1;
  }
  return saved;
}

export function save(content, name, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
