// The lens: see src/mddnet/optics.py and src/mddnet/predict/dioptres.py. A lens is
// { focalMm, fNumber, pixelUm, focusM }; null is unknown.

import { BEYOND, MAX_DEPTH_M } from "./constants/dioptres.js";

export const hasBlurScale = (lens) => lens.focalMm !== null && lens.fNumber !== null && lens.pixelUm !== null;

// Distance of the plane of focus from the principal plane, by its distance from the sensor; null if impossible.
export function focusZFromSensorPlaneM(focusM, focalMm) {
  const f = focalMm / 1000;
  if (focusM === Infinity) return focusM;
  return focusM >= 4 * f ? 0.5 * (focusM + Math.sqrt(focusM * focusM - 4 * f * focusM)) : null;
}

// CoC diameter in pixels per 1/m.
export function lensKappaPx(lens, focusZM = Infinity) {
  const f = lens.focalMm / 1000;
  const sensorM = focusZM === Infinity ? f : (f * focusZM) / (focusZM - f);
  return ((f / lens.fNumber) * sensorM) / (lens.pixelUm * 1e-6);
}

// The lens law in 1/m, for CoCs in units of `pixelScale` pixels of the photo; null if facts are missing.
export function metricLaw(lens, pixelScale = 1) {
  if (lens.focusM === null || !hasBlurScale(lens)) return null;
  const focusZM = focusZFromSensorPlaneM(lens.focusM, lens.focalMm);
  if (focusZM === null) return null;
  const [uFocus, kappaPx] = [1 / focusZM, lensKappaPx(lens, focusZM) / pixelScale];
  return { uFocus, kappaPx, infinityPx: kappaPx * uFocus };
}

// Metric inverse depth > 0, in the same order.
export function beforeInfinity(u) {
  const least = 1 / MAX_DEPTH_M;
  return u < least ? least / (1 + (least - u) / BEYOND) : u;
}
