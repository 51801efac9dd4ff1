// The unit of inverse depth: see src/mddnet/predict/metric_scale.py.
import { median, roundHalfEven } from "./arrays.js";
import { CLEAR_LOG_ODDS } from "./constants/metric_scale.js";
import { focusZFromSensorPlaneM, hasBlurScale, lensKappaPx } from "./optics.js";

// Depth stays relative although the lens is known.
export function relativeScale(fit, reason) {
  const notes = [`The lens is known, but depth stays relative: ${reason}.`];
  return { unit: "relative", gain: 1, offset: 0, focus: fit, notes };
}

// Why metres would not be safe; "" if they are, or are not given.
export function doubtAboutMetres(scale, logOdds, invDepth, sigma, most) {
  if (scale.unit === "relative") return "";
  if (logOdds < CLEAR_LOG_ODDS) return "the photo may be in front of the plane of focus as well as behind it";
  if (scale.unit === "1/m") {
    const relative = median(sigma.map((value, i) => value / Math.max(invDepth[i], 1e-6)));
    if (relative > most) {
      const percent = roundHalfEven(Math.min(relative, 9.99) * 100);
      return `the blur is too small or too uncertain; metres would be wrong by ${percent}%`;
    }
  }
  return "";
}

// u = gain * u_relative + offset in `unit`, and the lens law in that unit. fit: { found, uFocus, kappaPx, residualPx, reason }.
export function invDepthScale(fit, lens, blurAlone) {
  if (!hasBlurScale(lens)) return { unit: "relative", gain: 1, offset: 0, focus: fit, notes: [] };
  if (!fit.found && !blurAlone) {
    return relativeScale(fit, `no plane of focus found (${fit.reason})`);
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
