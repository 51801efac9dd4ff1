// Small parts of NumPy. A map is { h, w, data }: h rows of w values, in a typed array.

export const f32 = Math.fround;

export const clip = (value, low, high) => Math.min(Math.max(value, low), high);

// Rounded to the nearest integer, halves to the even one, as Python and NumPy do.
export function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

export const linspace = (start, stop, count) =>
  Array.from({ length: count }, (_, i) => (i === count - 1 ? stop : start + (i * (stop - start)) / (count - 1)));

export function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

export const mean = (values) => sum(values) / values.length;

// Quantiles for shares in [0, 1], linear between order statistics.
export function quantiles(values, shares) {
  const sorted = new Float64Array(values).sort();
  return shares.map((share) => {
    const place = share * (sorted.length - 1);
    const below = Math.floor(place);
    const [a, b] = [sorted[below], sorted[Math.min(below + 1, sorted.length - 1)]];
    const t = place - below;
    return t >= 0.5 ? b - (b - a) * (1 - t) : a + (b - a) * t;
  });
}

export const median = (values) => quantiles(values, [0.5])[0];

// Number of rising values below another one.
export function searchsorted(rising, value) {
  let [low, high] = [0, rising.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rising[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Linear between knots; constant beyond them.
export function interp(value, knots, values) {
  const last = knots.length - 1;
  if (value >= knots[last]) return values[last];
  if (value <= knots[0]) return values[0];
  const after = Math.max(searchsorted(knots, value), 1);
  const slope = (values[after] - values[after - 1]) / (knots[after] - knots[after - 1]);
  return slope * (value - knots[after - 1]) + values[after - 1];
}

// A number with as many significant digits as it needs, at most `digits`, as Python's format g writes it.
export const short = (value, digits = 6) => String(Number(value.toPrecision(digits)));

export const percent = (share, digits) => `${(share * 100).toFixed(digits)}%`;
