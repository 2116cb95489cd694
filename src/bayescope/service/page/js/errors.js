// Standard errors of likelihood ratios at another prevalence, from those at the one the image was scored at.
//
// The ratio of class k against the rest moves with evidence k by 1, and with that of another class j by minus its share
// w_kj of the rest. Taken as independent, errors of the classes with variances v give the ratio the variance
// v_k + Σ_j w_kj² v_j. The ratios' own errors tell v; with up to three classes this is exact.

const RIDGE = 1e-9;

/** Errors at `after` of ratios whose errors at `before` are known: shares w (classes, classes), 1 on the diagonal. */
export function errorsAt(errors, before, after) {
  if (errors.length < 3 || errors.some((error) => error === null)) return errors;
  const variances = leastSquares(
    before.map((row) => row.map(square)),
    errors.map(square),
  );
  return after.map((row) => Math.sqrt(Math.max(0, dot(row.map(square), variances))));
}

/** The smallest x for which matrix · x is nearest to y. */
function leastSquares(matrix, y) {
  const n = y.length;
  const columns = y.map((_, i) => matrix.map((row) => row[i]));
  const rows = columns.map((a, i) => [...columns.map((b, j) => dot(a, b) + (i === j ? RIDGE : 0)), dot(a, y)]);
  for (let i = 0; i < n; i++) {
    for (let k = i + 1; k < n; k++) {
      const factor = rows[k][i] / rows[i][i];
      for (let j = i; j <= n; j++) rows[k][j] -= factor * rows[i][j];
    }
  }
  const x = new Array(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    const known = x.reduce((sum, value, j) => sum + (j > i ? rows[i][j] * value : 0), 0);
    x[i] = (rows[i][n] - known) / rows[i][i];
  }
  return x;
}

const square = (value) => value * value;
const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
