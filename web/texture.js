// Texture evidence: see src/mddnet/predict/texture.py.
import { f32 } from "./arrays.js";
import { HALF_EVIDENCE, WINDOW_PX } from "./constants/texture.js";

// { h, w, data } of RGB bytes: evidence in [0, 1), s / (s + 0.02).
export function textureEvidence({ h, w, data }) {
  const grey = new Float64Array(h * w);
  for (let i = 0; i < grey.length; i++) grey[i] = data[3 * i] + data[3 * i + 1] + data[3 * i + 2];
  const count = WINDOW_PX * WINDOW_PX;
  const first = windowSums(grey, h, w);
  const second = windowSums(grey.map((value) => value * value), h, w);
  const evidence = new Float32Array(h * w);
  for (let i = 0; i < evidence.length; i++) {
    const deviation = Math.sqrt(f32(second[i] * count - first[i] * first[i])) / (3 * 255 * count);
    evidence[i] = deviation / (deviation + HALF_EVIDENCE);
  }
  return evidence;
}

// Sums of a window around every pixel; the border is reflected. All values are integers below 2^53: exact.
function windowSums(values, h, w) {
  const radius = WINDOW_PX >> 1;
  return along(along(values, h, w, w, 1, radius), w, h, 1, w, radius);
}

// Sums of windows along one axis: `count` lines `lineStep` apart, of `length` values `step` apart.
function along(values, count, length, lineStep, step, radius) {
  const result = new Float64Array(values.length);
  const places = Int32Array.from({ length: length + 2 * radius + 1 }, (_, i) => {
    const turn = (i - radius + 4 * length * radius) % (2 * length);
    return (turn < length ? turn : 2 * length - 1 - turn) * step;
  });
  for (let line = 0; line < count; line++) {
    const start = line * lineStep;
    let total = 0;
    for (let i = 0; i <= 2 * radius; i++) total += values[start + places[i]];
    for (let i = 0; i < length; i++) {
      result[start + i * step] = total;
      total += values[start + places[i + 2 * radius + 1]] - values[start + places[i]];
    }
  }
  return result;
}
