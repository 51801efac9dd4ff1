// Evidence for the sign of the defocus, as log-odds of being behind the plane of focus: see src/mddnet/predict/sign.py.
import { clip } from "./arrays.js";
import {
  CALIBRATED_ODDS, DEPTH_SPREAD, DEPTH_TAIL, LEAST_INV_DEPTH, MAX_LOG_ODDS, PRIOR_WEIGHT, SPREAD_IN_SCENE,
  SURE_LOG_ODDS, USUAL_DEPTH_M, VISIBLE_PX,
} from "./constants/sign.js";

export const networkLogOdds = (signLogit, cocPx) =>
  signLogit.map((logit, i) => clip(CALIBRATED_ODDS * logit, -MAX_LOG_ODDS, MAX_LOG_ODDS) * Math.min(cocPx[i] / VISIBLE_PX, 1));

// law: of metricLaw, or null; camera: of cameraEstimate, or null.
export function lensLogOdds(blur, law, camera) {
  if (law === null) return new Float32Array(blur.px.length);
  const most = Math.sqrt(law.infinityPx);
  const middleM = camera === null ? USUAL_DEPTH_M : camera.medianDepthM;
  const spread = camera === null ? DEPTH_SPREAD : Math.hypot(SPREAD_IN_SCENE, camera.medianDepthError);
  return blur.px.map((px, i) => {
    const excess = Math.max(blur.root[i] - most, 0) / blur.rootSigma[i];
    const away = px / law.kappaPx;
    const prior = logDensity(law.uFocus - away, middleM, spread) - logDensity(law.uFocus + away, middleM, spread);
    const seen = (px * px) / (px * px + blur.sigmaPx[i] ** 2);
    return PRIOR_WEIGHT * seen * clip(prior, -MAX_LOG_ODDS, MAX_LOG_ODDS) - Math.min(excess * excess, SURE_LOG_ODDS);
  });
}

function logDensity(invDepth, middleM, spread) {
  const logarithm = Math.log(Math.max(invDepth, LEAST_INV_DEPTH));
  const fromUsual = (logarithm + Math.log(middleM)) / spread;
  return -0.5 * (DEPTH_TAIL + 1) * Math.log1p((fromUsual * fromUsual) / DEPTH_TAIL) - logarithm;
}

export const sceneLogOdds = (sceneU, sceneSigma, uFocus, away, awaySigma) =>
  sceneU.map((u, i) => {
    const variance = sceneSigma[i] ** 2 + awaySigma[i] ** 2;
    return clip((2 * (uFocus - u) * away[i]) / variance, -MAX_LOG_ODDS, MAX_LOG_ODDS);
  });
