// The plane of focus: see src/mddnet/predict/plane_of_focus.py, whose functions these are.
import { clip, interp, linspace, mean, quantiles, searchsorted, sum } from "./arrays.js";
import {
  BINS, CLEARLY_OTHER, INDEPENDENT, MOST_ERROR, OUTSIDE, PRIOR_INSIDE, STRAIGHT,
} from "./constants/plane_of_focus.js";

export class Plane {
  constructor(uFocus, kappaPx, knots, signedPx, logOdds, gain) {
    Object.assign(this, { uFocus, kappaPx, knots, signedPx, logOdds, gain });
  }

  // The signed defocus at standardised inverse depths: straight lines of slope kappa beyond the knots.
  defocusPx(depth) {
    const last = this.knots.at(-1);
    return depth.map((u) =>
      interp(u, this.knots, this.signedPx) - this.kappaPx * (u - clip(u, this.knots[0], last)));
  }
}

// Compare all hypotheses; cells: { depth, root, rootSigma, logOdds }, Float64Arrays.
export function findPlane(cells) {
  const { index, depth, root, precision } = binned(cells);
  const { places, prior } = placesOf(cells.depth, depth);
  const straight = STRAIGHT * mean(precision);
  const weight = precision.map((value) => value + straight);
  const hypotheses = places.map((place, t) => {
    const sign = depth.map((u) => Math.sign(place - u));
    const away = depth.map((u) => Math.sqrt(Math.abs(place - u)));
    const rootKappa = rootKappaOf(away, root, precision);
    const pulled = sign.map((s, b) => (s * (precision[b] * root[b] + straight * rootKappa * away[b])) / weight[b]);
    const fitted = isotonic(pulled.map((value) => -value), weight).map((value) => -value);
    const size = fitted.map(Math.abs);
    const misfit = cost(cells, (i) => size[index[i]]);
    let wrong = 0;
    for (let i = 0; i < index.length; i++) wrong += softplus(-sign[index[i]] * cells.logOdds[i]);
    return { place, sign, fitted, misfit, cost: INDEPENDENT * (misfit + wrong / index.length) + prior[t] };
  });
  const best = hypotheses.reduce((a, b) => (b.cost < a.cost ? b : a));

  const changed = new Float64Array(depth.length);
  index.forEach((bin, i) => (changed[bin] += cells.root[i]));
  const differs = ({ sign }) =>
    sum(changed.map((value, b) => (sign[b] !== best.sign[b] ? value : 0))) > CLEARLY_OTHER * sum(changed);
  const others = hypotheses.filter(differs).map((other) => other.cost);
  const logOdds = others.length ? Math.min(...others) - best.cost : Infinity;
  const levels = quantiles(cells.root, Array.from({ length: 15 }, (_, i) => (i + 1) / 16));
  const constant = Math.min(...levels.map((level) => cost(cells, () => level)));

  const signed = best.fitted.map((value) => value * Math.abs(value));
  const uFocus = zero(depth, signed, root, precision, best.place);
  const away = depth.map((u) => Math.sqrt(Math.abs(uFocus - u)));
  const kappaPx = rootKappaOf(away, root, precision) ** 2;
  return new Plane(uFocus, kappaPx, depth, signed, logOdds, INDEPENDENT * (constant - best.misfit));
}

function softplus(x) {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

// The square root of the slope of the straight line that explains the bins best.
function rootKappaOf(away, root, precision) {
  let [over, under] = [0, 0];
  for (let b = 0; b < away.length; b++) {
    over += away[b] * precision[b] * root[b];
    under += away[b] * away[b] * precision[b];
  }
  return over / under;
}

// The bin of every cell, and the bins' mean depth, robust mean root and its precision; equal depths are in one bin.
export function binned(cells) {
  const shares = Array.from({ length: BINS - 1 }, (_, i) => (i + 1) / BINS);
  const edges = [...new Set(quantiles(cells.depth, shares))];
  const raw = Array.from(cells.depth, (u) => searchsorted(edges, u));
  const used = [...new Set(raw)].sort((a, b) => a - b);
  const rank = new Map(used.map((bin, i) => [bin, i]));
  const index = Int32Array.from(raw, (bin) => rank.get(bin));
  const count = used.length;

  function means(values, weight) {
    const [over, under] = [new Float64Array(count), new Float64Array(count)];
    for (let i = 0; i < index.length; i++) {
      over[index[i]] += weight(i) * values[i];
      under[index[i]] += weight(i);
    }
    return { means: over.map((value, b) => value / under[b]), totals: under };
  }

  const weight = cells.rootSigma.map((sigma) => 1 / (sigma * sigma));
  const depth = means(cells.depth, () => 1).means;
  let root = means(cells.root, (i) => weight[i]).means;
  let precision = null;
  for (let pass = 0; pass < 3; pass++) {
    const robust = weight.map((value, i) =>
      value / Math.max(Math.abs(cells.root[i] - root[index[i]]) / cells.rootSigma[i], 1));
    ({ means: root, totals: precision } = means(cells.root, (i) => robust[i]));
  }
  return { index, depth, root, precision };
}

// Places of the plane of focus, and the negative logarithm of their prior.
function placesOf(cells, bins) {
  const [low, high] = quantiles(cells, [0.02, 0.98]);
  const reach = OUTSIDE.map((distance) => (high > low ? (high - low) * distance : distance));
  const inside = Array.from({ length: bins.length - 1 }, (_, b) => 0.5 * (bins[b + 1] + bins[b]));
  const before = [...reach].reverse().map((distance) => bins[0] - distance);
  const after = reach.map((distance) => bins.at(-1) + distance);
  const outside = -Math.log((1 - PRIOR_INSIDE) / (2 * OUTSIDE.length));
  const within = -Math.log(PRIOR_INSIDE / Math.max(inside.length, 1));
  const prior = [...before.map(() => outside), ...inside.map(() => within), ...after.map(() => outside)];
  return { places: [...before, ...inside, ...after], prior };
}

// Mean robust cost of the cells' roots against those of a hypothesis.
function cost(cells, expected) {
  let total = 0;
  for (let i = 0; i < cells.root.length; i++) {
    const error = Math.abs(expected(i) - cells.root[i]) / cells.rootSigma[i];
    const capped = Math.min(error, 1);
    total += Math.min(capped * (error - 0.5 * capped), MOST_ERROR);
  }
  return total / cells.root.length;
}

// Where the falling function crosses zero; outside the scene, where the best straight line does, near `place`.
function zero(depth, signed, root, precision, place) {
  const after = searchsorted(signed.map((value) => -value), 0);
  if (after > 0 && after < signed.length) {
    const before = after - 1;
    const share = signed[before] / Math.max(signed[before] - signed[after], 1e-12);
    return depth[before] + share * (depth[after] - depth[before]);
  }
  const edge = place < depth[0] ? depth[0] : depth.at(-1);
  let [best, least] = [NaN, Infinity];
  for (const exponent of linspace(-1, 1, 33)) {
    const tried = edge + (place - edge) * 2 ** exponent;
    const away = depth.map((u) => Math.sqrt(Math.abs(tried - u)));
    const rootKappa = rootKappaOf(away, root, precision);
    const misfit = sum(precision.map((value, b) => value * (root[b] - rootKappa * away[b]) ** 2));
    if (misfit < least) [best, least] = [tried, misfit];
  }
  return best;
}

// Weighted least-squares fit by a rising sequence: the max-min formula.
export function isotonic(values, weight) {
  const count = values.length;
  const [summed, total] = [new Float64Array(count + 1), new Float64Array(count + 1)];
  for (let b = 0; b < count; b++) {
    summed[b + 1] = summed[b] + values[b] * weight[b];
    total[b + 1] = total[b] + weight[b];
  }
  const fit = new Float64Array(count).fill(-Infinity);
  for (let start = 0; start < count; start++) {
    let least = Infinity; // of the means of runs from `start` to `stop` or beyond
    for (let stop = count - 1; stop >= start; stop--) {
      least = Math.min(least, (summed[stop + 1] - summed[start]) / (total[stop + 1] - total[start]));
      fit[stop] = Math.max(fit[stop], least);
    }
  }
  return fit;
}
