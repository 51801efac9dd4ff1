// Pictures of maps: see src/mddnet/color_maps.py and src/mddnet/predict/preview.py.
import { clip, quantiles } from "./arrays.js";
import { DEPTH_COLOURS, SIGN_COLOURS } from "./constants/color_maps.js";

export { DEPTH_COLOURS, SIGN_COLOURS };

// { low, high, mostPx }: the colour range, without the extreme percents of inverse depth and CoC.
export function previewRange(invDepth, signedPx) {
  const [low, high] = quantiles(invDepth, [0.01, 0.99]);
  return { low, high, mostPx: Math.max(1, quantiles(signedPx.map(Math.abs), [0.99])[0]) };
}

// RGBA bytes of a map; values outside [low, high] are clipped.
export function colours({ h, w, data }, low, high, table) {
  const span = high > low ? high - low : 1;
  const result = new Uint8ClampedArray(h * w * 4).fill(255);
  for (let i = 0; i < data.length; i++) {
    const colour = table[Math.trunc(clip((data[i] - low) * (255 / span) + 0.5, 0, 255))];
    for (let channel = 0; channel < 3; channel++) result[4 * i + channel] = colour[channel];
  }
  return result;
}
