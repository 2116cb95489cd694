// One answer for the images of a patient, added up as the model learned to; see docs/studies.md.

import { atPrevalence, evidence, fromEvidence, percent } from "./bayes.js";
import { ratioText } from "./chart.js";

/** The pooling by patient of images that all show one class; the mean of the images where none was learned. */
export function poolingOf(poolings, names) {
  const learned = poolings.find(({ by, positive, fitted }) => by === "patient" && positive === null && fitted);
  return learned ?? { correlation: 1, offset: names.map(() => 0), fitted: false };
}

/** The answer for records of several images, at a prevalence. */
export function combined(records, poolings, prevalence) {
  const names = Object.keys(prevalence),
    n = records.length;
  const { correlation, offset, fitted } = poolingOf(poolings, names);
  const weight = 1 / (1 + (n - 1) * correlation);
  const ofImages = records.map(evidence);
  const total = names.map(
    (_, k) => weight * (ofImages.reduce((sum, found) => sum + found[k], 0) + (n - 1) * offset[k]),
  );
  const moved = records.map((record) => atPrevalence(record, prevalence).standard_error);
  const errors = names.map((name) => {
    const ofName = moved.map((standard) => standard[name]);
    return ofName.includes(null) ? null : weight * Math.hypot(...ofName);
  });
  return { ...fromEvidence(total, prevalence, errors), fitted };
}

/** What a heading says of the rows below it; blank until all are scored, or for one. */
export function summary(rows, poolings, prevalence, finding) {
  if (rows.length < 2 || !rows.every(({ record }) => record)) return "";
  const found = combined(
    rows.map(({ record }) => record),
    poolings,
    prevalence,
  );
  const shown = finding || found.class;
  const ratio = ratioText(found.log_likelihood_ratio[shown], found.standard_error[shown]);
  const how = found.fitted ? "" : ", the mean of the images";
  return ` · together, if all show one class: ${found.class} ${percent(found.posterior[found.class])} · ${ratio} ${shown}${how}`;
}
