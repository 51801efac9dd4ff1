// Refocusing by the lens law: an aperture that is s times as wide has s times the CoC of every point, and another plane
// of focus u' gives s kappa (u' - u). Blur is added, never removed: see src/mddnet/demo/blur_edit.py.
import { clip, median, quantiles } from "./arrays.js";
import { fitted } from "./prediction.js";
import { blurredPhoto } from "./render.js";

const LARGEST_SHARE = 0.12; // largest CoC over the long side
const SHARP_PHOTO_SHARE = 0.01; // largest CoC over the long side at strength 1, without a plane of focus
const POINT_SHARE = 0.01; // side of the window of a point over the long side; the depth of a point is its median
const UNCHANGED_BELOW_PX = 0.2;

// RGBA bytes of a { h, w, data } of RGB bytes, which is the photo of a prediction at any size; point: { x, y } as
// fractions of width and height, or null for the photo's own plane of focus. null: nothing changes.
export function refocused(picture, prediction, strength, point) {
  const { h, w } = picture;
  const invDepth = fitted(prediction.maps, "inv_depth", h, w);
  const { focus, signed } = lawFor(prediction, invDepth);
  const pixels = w / prediction.width; // of this picture per pixel of the photo
  const existing = signed.map((px) => Math.sign(px) * Math.max(Math.abs(px) - focus.residualPx, 0) * pixels);
  let wanted = existing.map((px) => px * strength);
  if (point !== null) {
    const uFocus = invDepthAt(invDepth, point);
    wanted = invDepth.data.map((u) => focus.kappaPx * strength * (uFocus - u) * pixels);
  }
  const mostPx = LARGEST_SHARE * Math.max(h, w);
  const extra = extraDefocusPx(existing, wanted.map((px) => clip(px, -mostPx, mostPx)));
  if (!extra.some((px) => Math.abs(px) >= UNCHANGED_BELOW_PX)) return null;
  return blurredPhoto(picture, extra);
}

// The lens law and the signed defocus in pixels of the photo. Without a plane of focus, the photo counts as sharp.
function lawFor(prediction, invDepth) {
  if (prediction.focus.found) {
    const { data } = fitted(prediction.maps, "signed_defocus_px", invDepth.h, invDepth.w);
    return { focus: prediction.focus, signed: data };
  }
  const [far, near] = quantiles(invDepth.data, [0.02, 0.98]);
  const mostPx = SHARP_PHOTO_SHARE * Math.max(prediction.height, prediction.width);
  return {
    focus: { kappaPx: mostPx / Math.max(near - far, 1e-6), residualPx: 0 },
    signed: new Float32Array(invDepth.data.length),
  };
}

// Signed CoC of the additional blur, sqrt(C^2 - c^2) with the sign of C; 0 where |C| <= |c|.
export const extraDefocusPx = (existing, wanted) =>
  wanted.map((px, i) => Math.sign(px) * Math.sqrt(Math.max(px * px - existing[i] ** 2, 0)));

// Median inverse depth around a point.
export function invDepthAt({ h, w, data }, { x, y }) {
  const half = Math.max(1, Math.round((POINT_SHARE * Math.max(h, w)) / 2));
  const [column, row] = [Math.min(Math.floor(x * w), w - 1), Math.min(Math.floor(y * h), h - 1)];
  const around = [];
  for (let at = Math.max(0, row - half); at <= Math.min(h - 1, row + half); at++) {
    around.push(...data.subarray(at * w + Math.max(0, column - half), at * w + Math.min(w, column + half + 1)));
  }
  return median(around);
}
