// Maps at the size of the photo: see src/mddnet/predict/prediction.py and resampling.py.
import { resizedBilinear } from "./pillow.js";

export const QUANTITIES = ["inv_depth", "signed_defocus_px", "defocus_px", "confidence"];

const resized = (map, h, w) => (map.h === h && map.w === w ? map : resizedBilinear(map, h, w));

// Size and sign are resized separately: the mean of +8 and -8 px would be a false 0 px.
export function fitted(maps, quantity, h, w) {
  if (quantity === "inv_depth") return resized(maps.invDepth, h, w);
  if (quantity === "confidence") return resized(maps.confidence, h, w);
  const size = resized(maps.defocusPx, h, w);
  if (quantity === "defocus_px") return size;
  const sign = resized(maps.sign, h, w).data;
  return { h, w, data: size.data.map((px, i) => (sign[i] < 0 ? -px : px)) };
}
