// Pictures of maps: see src/mddnet/color_maps.py and src/mddnet/predict/preview.py.
import { clip, quantiles } from "./arrays.js";
import { DEPTH_COLOURS, SIGN_COLOURS } from "./constants/color_maps.js";
import { LEAST_SPAN } from "./constants/preview.js";

export { DEPTH_COLOURS, SIGN_COLOURS };

const SAMPLED = 7; // every so many values gives the colour range

// { low, high, mostPx }: the colour range, without the extreme percents of inverse depth and CoC.
// No blur is shown as strong: the range is at least LEAST_SPAN of the long side.
export function previewRange(invDepth, signedPx, longSide) {
  const sampled = (values) => values.filter((_, i) => i % SAMPLED === 0);
  const [low, high] = quantiles(sampled(invDepth), [0.01, 0.99]);
  return { low, high, mostPx: Math.max(LEAST_SPAN * longSide, quantiles(sampled(signedPx).map(Math.abs), [0.99])[0]) };
}

// RGBA bytes of a map; values outside [low, high] are clipped.
export function colours({ h, w, data }, low, high, table) {
  const span = high > low ? high - low : 1;
  const result = new Uint8ClampedArray(h * w * 4).fill(255);
  for (let i = 0; i < data.length; i++) {
    [result[4 * i], result[4 * i + 1], result[4 * i + 2]] = table[Math.trunc(clip((data[i] - low) * (255 / span) + 0.5, 0, 255))];
  }
  return result;
}
