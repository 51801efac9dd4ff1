// The unit of inverse depth: see src/mddnet/predict/metric_scale.py.
import { focusZFromSensorPlaneM, hasBlurScale, lensKappaPx } from "./optics.js";

// u = gain * u_relative + offset in `unit`, and the lens law in that unit. fit: { found, uFocus, kappaPx, residualPx, reason }.
export function invDepthScale(fit, lens, blurred) {
  if (!hasBlurScale(lens)) return { unit: "relative", gain: 1, offset: 0, focus: fit, notes: [] };
  if (!fit.found && !blurred) {
    const note = `The lens is known, but depth stays relative: no plane of focus found (${fit.reason}).`;
    return { unit: "relative", gain: 1, offset: 0, focus: fit, notes: [note] };
  }
  let [unit, focusZM, uFocus] = ["1/m from focus", Infinity, 0];
  let notes = ["Focus distance unknown: the scale of depth assumes a distance of many focal lengths."];
  if (lens.focusM !== null) {
    const found = focusZFromSensorPlaneM(lens.focusM, lens.focalMm);
    if (found === null) {
      notes = [
        `Focus distance ignored: focus distance ${lens.focusM} m (from the sensor) with a focal length of ` +
          `${lens.focalMm} mm: expected at least four focal lengths, ${(4 * lens.focalMm) / 1000} m; a macro lens ` +
          "needs its distance measured from the principal plane.",
      ];
    } else [unit, focusZM, uFocus, notes] = ["1/m", found, 1 / found, []];
  }
  const kappaPx = lensKappaPx(lens, focusZM);
  if (!fit.found) {
    notes.push(`Depth is computed from the blur alone: ${fit.reason}.`);
    return { unit, gain: 0, offset: 0, focus: { ...fit, found: true, uFocus, kappaPx, reason: "" }, notes };
  }
  const gain = fit.kappaPx / kappaPx;
  return { unit, gain, offset: uFocus - gain * fit.uFocus, focus: { ...fit, uFocus, kappaPx }, notes };
}
