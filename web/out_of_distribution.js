// Photos unlike those of training, by their pixel statistics: see src/mddnet/predict/out_of_distribution.py.
import { percent, roundHalfEven } from "./arrays.js";
import {
  BLACK, BRIGHTEST, DARKEST, MOST_CLIPPED, MOST_FLAT, OUT_OF_DISTRIBUTION, ROUGHEST, SAMPLED_ROWS, SMOOTHEST, WHITE,
} from "./constants/out_of_distribution.js";

export function pixelStatistics({ h, w, data }) {
  const step = h > SAMPLED_ROWS ? 2 : 1;
  let [pixels, steps, total, squares, clipped, flat, rough] = [0, 0, 0, 0, 0, 0, 0];
  for (let y = 0; y < h; y += step) {
    let before = null;
    for (let x = 0; x < w; x++) {
      const at = (y * w + x) * 3;
      const grey = data[at] + data[at + 1] + data[at + 2];
      pixels += 1;
      total += grey;
      squares += grey * grey;
      if (grey < 3 * BLACK || grey > 3 * WHITE) clipped += 1;
      if (before !== null) {
        steps += 1;
        rough += (grey - before) ** 2;
        if (grey === before) flat += 1;
      }
      before = grey;
    }
  }
  const mean = total / pixels;
  const variance = squares / pixels - mean * mean;
  return {
    mean: mean / 3,
    clipped: clipped / pixels,
    flat: flat / steps,
    rough: variance > 0 ? rough / steps / (2 * variance) : 0,
  };
}

// The network's image, or one of the size of the user's photo if that has fewer pixels.
export function notUpsampled(photo, scale) {
  if (scale >= 1) return photo;
  const [h, w] = [photo.h, photo.w].map((size) => Math.max(2, roundHalfEven(size * scale)));
  const data = new photo.data.constructor(h * w * 3);
  for (let y = 0; y < h; y++) {
    const row = Math.floor(((y + 0.5) * photo.h) / h);
    for (let x = 0; x < w; x++) {
      const from = (row * photo.w + Math.floor(((x + 0.5) * photo.w) / w)) * 3;
      for (let channel = 0; channel < 3; channel++) data[(y * w + x) * 3 + channel] = photo.data[from + channel];
    }
  }
  return { h, w, data };
}

export function outOfDistributionNote(photo) {
  const facts = pixelStatistics(photo);
  const checks = [
    [`${percent(facts.flat, 0)} of the pixels equal their neighbour`, facts.flat > MOST_FLAT],
    [`${percent(facts.clipped, 0)} of it is black or white`, facts.clipped > MOST_CLIPPED],
    [`its mean grey is ${facts.mean.toFixed(0)} of 255`, !(facts.mean >= DARKEST && facts.mean <= BRIGHTEST)],
    ["it has no structure larger than a pixel", facts.rough > ROUGHEST],
    ["it has no detail", facts.rough < SMOOTHEST && facts.flat <= MOST_FLAT],
  ];
  const reasons = checks.filter(([, applies]) => applies).map(([reason]) => reason);
  return reasons.length ? `${OUT_OF_DISTRIBUTION}: ${reasons.join(", ")}. Its maps are unreliable.` : "";
}
