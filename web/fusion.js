// Fusion of what the network sees in a scene and in its blur: see src/mddnet/predict/fusion.py, whose functions these are.
import { clip, linspace, mean, median, percent, quantiles, roundHalfEven, short } from "./arrays.js";
import { Blur } from "./blur.js";
import { MAX_DEPTH_M } from "./constants/dioptres.js";
import {
  ALIKE_COLOUR, ALIKE_DEPTH, BLURRED_SHARE, CLIPPED_SHARE, CONTRADICTION, FLAT_ERROR, GAIN_STEP, LEAST_GAIN, NEIGHBOURS,
  SCANNED_CELLS, SCENE_ERROR, SCENE_WEIGHT, SHARP_PX,
} from "./constants/fusion.js";
import { UNKNOWN_AGREEMENT } from "./constants/out_of_distribution.js";
import { NETWORK_SHARE } from "./constants/plane_of_focus.js";
import { EdgeAwareMean, cellMeans, upsampledAlong } from "./edge_aware.js";
import { doubtAboutMetres, invDepthScale, relativeScale } from "./metric_scale.js";
import { beforeInfinity, metricLaw } from "./optics.js";
import { notUpsampled, outOfDistributionNote } from "./out_of_distribution.js";
import { findPlane } from "./plane_of_focus.js";
import { lensLogOdds, networkLogOdds, sceneLogOdds } from "./sign.js";
import { textureEvidence } from "./texture.js";

// answers: { h, w, depth, depthLogSigma, cocPx, cocLogSigma, signLogit, photo, scale, camera }: maps on h x w cells of
// the network's image `photo`, and pixels of the user's photo per pixel of that.
export function fuse(answers, lens, capPx, metric) {
  const { h, w, scale, photo } = answers;
  const stride = Math.ceil(photo.w / w);
  const blur = new Blur(answers.cocPx, answers.cocLogSigma.map(Math.exp));
  const { depth, shift, span } = standardised(answers.depth);
  const byNetwork = networkLogOdds(answers.signLogit, blur.px);
  const byLens = lensLogOdds(blur, metricLaw(lens, scale), answers.camera);
  const plane = findPlane(cellsOf(h, w, depth, blur, byNetwork.map((odds, i) => NETWORK_SHARE * odds + byLens[i])));
  const flat = span === 0;
  const colours = cellMeans(photo, stride);
  const error = answers.depthLogSigma.map((value) => (flat ? FLAT_ERROR : Math.exp(value) + SCENE_ERROR));
  const trust = flat ? 1 : trustIn(plane.gain);
  const evidence = byNetwork.map((odds, i) => odds + byLens[i]);
  const fused = fusedOf(h, w, depth, error, blur, plane, evidence, colours, trust);

  const reason = reasonAgainst(blur, plane, flat);
  const residualPx = mean(plane.defocusPx(depth).map((px, i) => Math.abs(Math.abs(px) - blur.px[i]))) * scale;
  let fit = { found: false, uFocus: NaN, kappaPx: NaN, residualPx, reason };
  if (!reason) {
    fit = {
      found: true, uFocus: plane.uFocus * span + shift, kappaPx: (plane.kappaPx / span) * scale, residualPx, reason: "",
    };
  }
  const blurAlone = reason !== CONTRADICTION && mean(blur.px.map((px) => (px >= SHARP_PX ? 1 : 0))) > BLURRED_SHARE;
  let unit = invDepthScale(fit, lens, blurAlone);
  let onCells = inUnit(unit, fused, blur, scale, shift, span);
  if (unit.unit !== "relative") onCells.sigma = onCells.sigma.map((value) => value * metric.factor);
  const doubt = doubtAboutMetres(unit, plane.logOdds, onCells.invDepth, onCells.sigma, metric.most);
  if (doubt) {
    unit = relativeScale(fit, doubt);
    onCells = inUnit(unit, fused, blur, scale, shift, span);
  }

  let agreement = fit.found ? agreementOf(fused, blur, plane) : new Float32Array(h * w).fill(UNKNOWN_AGREEMENT);
  const unlike = outOfDistributionNote(notUpsampled(photo, scale));
  if (unlike) agreement = agreement.map((value) => Math.min(value, UNKNOWN_AGREEMENT));
  const cells = [onCells.invDepth, blur.px, fused.logOdds, agreement, onCells.sigma];
  const [invDepth, cocPx, logOdds, agreed, sigma] = upsampledAlong(photo, colours, stride, cells);
  const texture = textureEvidence(photo);
  const map = (data) => ({ h: photo.h, w: photo.w, data });
  return {
    maps: {
      invDepth: map(unit.unit === "1/m" ? invDepth.map(beforeInfinity) : invDepth),
      defocusPx: map(cocPx.map((px) => px * scale)),
      sign: map(logOdds.map((odds) => (odds < 0 ? -1 : 1))),
      confidence: map(agreed.map((value, i) => value * texture[i])),
      invDepthError: unit.unit === "relative" ? null : map(sigma),
    },
    unit: unit.unit,
    focus: unit.focus,
    notes: [...unit.notes, ...notesOn(invDepth, unit, cocPx, capPx, scale), ...(unlike ? [unlike] : [])],
  };
}

// Less its median, over its mean absolute deviation; and these two. A flat map is 0, and so is its deviation.
export function standardised(values) {
  const shift = median(values);
  const deviations = new Float64Array(values).map((value) => value - shift);
  const span = mean(deviations.map(Math.abs));
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (!(span > 1e-6 * largest)) return { depth: new Float32Array(values.length), shift, span: 0 };
  return { depth: new Float32Array(deviations.map((value) => value / span)), shift, span };
}

// A regular part of the cells, symmetric about the middle of the photo.
function cellsOf(h, w, depth, blur, logOdds) {
  const thinning = Math.max(1, Math.sqrt((h * w) / SCANNED_CELLS));
  const [rows, columns] = [h, w].map((size) => {
    const places = linspace(0, size - 1, Math.max(2, roundHalfEven(size / thinning)));
    return [...new Set(places.map(roundHalfEven))];
  });
  const taken = (values) => Float64Array.from(rows.flatMap((row) => columns.map((column) => values[row * w + column])));
  return { depth: taken(depth), root: taken(blur.root), rootSigma: taken(blur.rootSigma), logOdds: taken(logOdds) };
}

const improbable = (logOdds) => 1 / (1 + Math.exp(Math.min(Math.abs(logOdds), 30)));

// Sign and inverse depth of every cell.
function fusedOf(h, w, depth, sceneSigma, blur, plane, evidence, colours, trust) {
  const kappaPx = Math.max(plane.kappaPx, 1e-6);
  const sceneU = rescaled(depth, plane, trust);
  const away = blur.px.map((px) => px / kappaPx);
  const awaySigma = blur.sigmaPx.map((px) => px / kappaPx / Math.sqrt(Math.max(trust, 1e-4)));
  const guide = [0, 1, 2].map((channel) =>
    depth.map((_, i) => colours.data[3 * i + channel] / (ALIKE_COLOUR * Math.sqrt(3))));
  guide.push(depth.map((u) => u / ALIKE_DEPTH));
  const average = new EdgeAwareMean(h, w, guide, NEIGHBOURS);
  const byScene = sceneLogOdds(sceneU, sceneSigma, plane.uFocus, away, awaySigma);
  const logOdds = average.of(evidence.map((odds, i) => odds + byScene[i]));

  const blurVariance = away.map((size, i) => awaySigma[i] ** 2 + (2 * size) ** 2 * improbable(logOdds[i]) + 1e-6);
  const step = away.map((size, i) =>
    clip(plane.uFocus - (logOdds[i] < 0 ? -size : size) - sceneU[i], -6, 6));
  // Both sums run over the neighbours across no edge, whose errors differ.
  const over = average.of(step.map((value, i) => value / blurVariance[i]));
  const under = average.of(blurVariance.map((variance, i) => 1 / variance + 1 / sceneSigma[i] ** 2));
  return {
    u: sceneU.map((u, i) => u + over[i] / under[i]),
    sigma: blurVariance.map((variance, i) => Math.sqrt(variance + (step[i] / 2) ** 2)),
    sceneU,
    logOdds,
  };
}

// Weight of the blur in [0, 1]; 0 where one CoC explains it as well as the scene's depth does.
export function trustIn(gain) {
  const least = 1 / (1 + Math.exp(LEAST_GAIN / GAIN_STEP));
  const logistic = 1 / (1 + Math.exp(Math.min((LEAST_GAIN - gain) / GAIN_STEP, 30)));
  return Math.max(0, (logistic - least) / (1 - least));
}

// Standardised inverse depth by the scene, rescaled by a rising function so that it explains the blur.
function rescaled(depth, plane, trust) {
  const share = (1 - SCENE_WEIGHT) * trust;
  const kappaPx = Math.max(plane.kappaPx, 1e-6);
  const defocusPx = plane.defocusPx(depth);
  return depth.map((u, i) => share * (plane.uFocus - defocusPx[i] / kappaPx) + (1 - share) * u);
}

// Why there is no plane of focus; "" if there is one.
function reasonAgainst(blur, plane, flat) {
  const [low, middle, high, highest] = quantiles(blur.px, [0.05, 0.5, 0.95, 0.98]);
  if (highest < SHARP_PX) return `everything is sharp: hardly a CoC reaches ${short(SHARP_PX)} px`;
  if (flat) return "the depth map is flat: the whole scene has one distance";
  if (high - low < Math.max(0.5, 0.1 * middle)) return `the blur is the same everywhere: about ${middle.toFixed(1)} px`;
  if (plane.gain < LEAST_GAIN) return CONTRADICTION;
  return "";
}

// Inverse depth on the cells in the unit of a scale, and its standard error.
function inUnit(unit, fused, blur, scale, shift, span) {
  if (unit.gain > 0) {
    const [gain, offset] = [unit.gain * span, unit.gain * shift + unit.offset];
    return { invDepth: fused.u.map((u) => u * gain + offset), sigma: fused.sigma.map((value) => value * gain) };
  }
  const kappaPx = unit.focus.kappaPx / scale;
  const away = blur.px.map((px) => px / kappaPx);
  return {
    invDepth: away.map((size, i) => unit.focus.uFocus - (fused.logOdds[i] < 0 ? -size : size)),
    sigma: away.map((size, i) =>
      Math.sqrt((blur.sigmaPx[i] / kappaPx) ** 2 + (2 * size) ** 2 * improbable(fused.logOdds[i]))),
  };
}

// Agreement of the scene's depth with the blur, in (0, 1]: exp(-difference / (1 px + a quarter of the CoC)).
function agreementOf(fused, blur, plane) {
  return fused.sceneU.map((u, i) => {
    const law = plane.kappaPx * (plane.uFocus - u);
    const against = 1 / (1 + Math.exp(clip(law < 0 ? -fused.logOdds[i] : fused.logOdds[i], -30, 30)));
    const size = Math.abs(law);
    const difference = Math.abs(size - blur.px[i]) + 2 * Math.min(size, blur.px[i]) * against;
    return Math.exp(-difference / (1 + 0.25 * blur.px[i]));
  });
}

// What is limited: depth at infinity, and blur beyond what the model can measure.
function notesOn(invDepth, unit, cocPx, capPx, scale) {
  const notes = [];
  const share = (values, applies) => mean(values.map((value) => (applies(value) ? 1 : 0)));
  const beyond = unit.unit === "1/m" ? share(invDepth, (u) => u < 1 / MAX_DEPTH_M) : 0;
  if (beyond > 0) {
    notes.push(`${percent(beyond, 1)} of the photo is at infinity or beyond; its depth_m is inf.`);
  }
  const most = CLIPPED_SHARE * capPx;
  const clipped = share(cocPx, (px) => px > most);
  if (clipped > 0) {
    notes.push(
      `${percent(clipped, 1)} of the photo is blurred by ${(most * scale).toFixed(0)} px or more, which this model ` +
        "cannot measure reliably; the defocus is a lower limit there.",
    );
  }
  return notes;
}
