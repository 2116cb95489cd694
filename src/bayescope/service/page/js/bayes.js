// Bayes' rule on records: what the service answers at one prevalence, at another.

import { errorsAt } from "./errors.js";

const logit = (p) => Math.log(p) - Math.log1p(-p);

function logSumExp(values) {
  const top = Math.max(...values);
  return top === -Infinity ? top : top + Math.log(values.reduce((sum, v) => sum + Math.exp(v - top), 0));
}

/** Evidence of each class, nats up to a common constant: log posterior - log prevalence. */
export function evidence(record) {
  return Object.keys(record.prevalence).map((name) => {
    const prior = record.prevalence[name];
    return -Math.log1p(Math.exp(-(record.log_likelihood_ratio[name] + logit(prior)))) - Math.log(prior);
  });
}

/** The record at another prevalence, an object of probabilities by class. */
export function atPrevalence(record, prevalence) {
  const names = Object.keys(record.prevalence);
  if (names.every((name) => prevalence[name] === record.prevalence[name])) return record;
  const found = evidence(record);
  const known = names.map((name) => record.standard_error[name]);
  const errors = errorsAt(known, shares(jointOf(found, record.prevalence)), shares(jointOf(found, prevalence)));
  return { ...record, ...fromEvidence(found, prevalence, errors) };
}

/** Answer, posterior and ratios from the evidence of each class and the standard errors of the ratios, in the order of the
 * prevalences. */
export function fromEvidence(found, prevalence, errors) {
  const names = Object.keys(prevalence);
  const joint = jointOf(found, prevalence);
  const total = logSumExp(joint);
  const posterior = {},
    ratio = {},
    standard = {},
    error = {};
  names.forEach((name, k) => {
    const rest = names.map((_, j) => j).filter((j) => j !== k);
    const mass = rest.reduce((sum, j) => sum + prevalence[names[j]], 0);
    posterior[name] = Math.exp(joint[k] - total);
    ratio[name] = found[k] - (logSumExp(rest.map((j) => joint[j])) - Math.log(mass));
    const deviation = (standard[name] = errors[k]);
    error[name] = deviation === null ? null : posterior[name] * (1 - posterior[name]) * deviation;
  });
  const answer = names.reduce((best, name) => (posterior[name] > posterior[best] ? name : best));
  return {
    class: answer,
    prevalence,
    posterior,
    posterior_error: error,
    log_likelihood_ratio: ratio,
    standard_error: standard,
  };
}

/** Evidence plus log prevalence of each class. */
const jointOf = (found, prevalence) => Object.values(prevalence).map((prior, k) => found[k] + Math.log(prior));

/** The share of each class j in the rest against which class k is compared, 1 for k itself. */
const shares = (joint) =>
  joint.map((_, k) => {
    const rest = logSumExp(joint.filter((_, j) => j !== k));
    return joint.map((value, j) => (j === k ? 1 : Math.exp(value - rest)));
  });

/** Prevalences with that of one class changed, the others keeping their proportions. */
export function withPrevalence(prevalence, name, value) {
  const others = Object.keys(prevalence).filter((other) => other !== name);
  const mass = others.reduce((sum, other) => sum + prevalence[other], 0);
  const changed = { [name]: value };
  for (const other of others) changed[other] = (prevalence[other] / mass) * (1 - value);
  return Object.fromEntries(Object.keys(prevalence).map((key) => [key, changed[key]]));
}

/** The 90 % interval of a log-likelihood ratio, or null if its error was not estimated. */
export function interval(ratio, error) {
  return error === null || error === undefined ? null : [ratio - 1.645 * error, ratio + 1.645 * error];
}

/** A ratio in words: "12 times as likely", "1/12 as likely". */
export function inWords(logRatio) {
  const times = Math.exp(Math.abs(logRatio));
  return logRatio >= 0 ? `${rounded(times)} times` : `1/${rounded(times)}`;
}

/** Two significant digits, as one writes them. */
export function rounded(number) {
  if (number >= 1e6) return number.toExponential(0).replace("e+", "e");
  if (number >= 100) return Number(number.toPrecision(2)).toLocaleString("en");
  return number >= 9.95 ? number.toFixed(0) : number.toFixed(1);
}

export function percent(p) {
  const value = 100 * p;
  return `${value < 0.1 || value > 99.9 ? value.toPrecision(value > 99 ? 5 : 1) : value.toFixed(1)} %`;
}
