// Added blur: layers from near to far, discs in linear light: see src/mddnet/scenes/render.py. There is no hidden
// background behind depth edges here, and no aperture but the disc.
import { clip } from "./arrays.js";

const MAX_LAYERS = 16;
const LAYER_STEP = 0.25;
const LAYER_KNEE_PX = 1.5;
const FINE_PX = 8; // layers with a larger CoC are blurred at a lower resolution
const IDENTITY_BELOW_PX = 0.15;
const FULL = 1 - 1e-4;

const LINEAR_OF_BYTE = Float32Array.from({ length: 256 }, (_, byte) => {
  const x = byte / 255;
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
});
const STEPS = 4095; // of the table from linear light to bytes
const BYTE_OF_LINEAR = Uint8Array.from({ length: STEPS + 1 }, (_, step) => {
  const x = step / STEPS;
  return Math.round(255 * (x <= 0.0031308 ? x * 12.92 : 1.055 * x ** (1 / 2.4) - 0.055));
});

// { h, w, data } of RGB bytes, blurred by signed CoCs; RGBA bytes.
export function blurredPhoto({ h, w, data }, signedPx) {
  const nodes = layerDefocusPx(
    signedPx.reduce((least, px) => Math.min(least, px), Infinity),
    signedPx.reduce((most, px) => Math.max(most, px), -Infinity),
  );
  const canvas = { w, colour: new Float32Array(3 * h * w), coverage: new Float32Array(h * w) };
  const { index, share } = layerPosition(signedPx, nodes);
  nodes.forEach((node, k) => {
    const weightOf = (i) => (index[i] === k ? 1 - share[i] : index[i] === k - 1 ? share[i] : 0);
    const box = boxOf(weightOf, h, w, Math.ceil(Math.abs(node) / 2 + 2 * stepOf(Math.abs(node))));
    if (box === null || isCovered(canvas, box)) return;
    const planes = Array.from({ length: 4 }, () => new Float32Array(box.h * box.w));
    for (let y = 0; y < box.h; y++) {
      for (let x = 0; x < box.w; x++) {
        const from = (box.top + y) * w + box.left + x;
        const weight = weightOf(from);
        if (weight === 0) continue;
        const to = y * box.w + x;
        for (let c = 0; c < 3; c++) planes[c][to] = weight * LINEAR_OF_BYTE[data[3 * from + c]];
        planes[3][to] = weight;
      }
    }
    addBehind(canvas, box, blurredLayer(planes, box.h, box.w, Math.abs(node)));
  });
  const result = new Uint8ClampedArray(4 * h * w).fill(255);
  for (let i = 0; i < h * w; i++) {
    const under = Math.max(canvas.coverage[i], 1e-4);
    for (let c = 0; c < 3; c++) {
      result[4 * i + c] = BYTE_OF_LINEAR[Math.round(clip(canvas.colour[3 * i + c] / under, 0, 1) * STEPS)];
    }
  }
  return result;
}

// The box of all pixels with a weight, and the reach of the blur around it; null without any.
function boxOf(weightOf, h, w, reach) {
  let [top, bottom, left, right] = [h, -1, w, -1];
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      if (weightOf(y * w + x) === 0) continue;
      top = Math.min(top, y);
      bottom = y;
      left = Math.min(left, x);
      right = Math.max(right, x);
    }
  }
  if (bottom < 0) return null;
  [top, left] = [Math.max(0, top - reach), Math.max(0, left - reach)];
  return { top, left, h: Math.min(h, bottom + reach + 1) - top, w: Math.min(w, right + reach + 1) - left };
}

function isCovered({ w, coverage }, box) {
  for (let y = box.top; y < box.top + box.h; y++) {
    for (let at = y * w + box.left; at < y * w + box.left + box.w; at++) if (coverage[at] < FULL) return false;
  }
  return true;
}

// Composite a layer behind all earlier ones by saturating addition.
function addBehind({ w, colour, coverage }, box, [red, green, blue, alpha]) {
  for (let y = 0; y < box.h; y++) {
    for (let x = 0; x < box.w; x++) {
      const [from, to] = [y * box.w + x, (box.top + y) * w + box.left + x];
      const taken = Math.min(Math.max(alpha[from], 0), Math.max(1 - coverage[to], 0));
      if (taken === 0) continue;
      const factor = taken / Math.max(alpha[from], 1e-6);
      colour[3 * to] += red[from] * factor;
      colour[3 * to + 1] += green[from] * factor;
      colour[3 * to + 2] += blue[from] * factor;
      coverage[to] += taken;
    }
  }
}

// Signed defocus of the layers, ascending: both ends, zero if inside, denser near focus.
export function layerDefocusPx(low, high) {
  if (high - low < 0.02) return [0.5 * (low + high)];
  const warp = (c) => Math.sign(c) * Math.log1p(Math.abs(c) / LAYER_KNEE_PX);
  const between = (a, b, count) =>
    Array.from({ length: count + 1 }, (_, i) => {
      const t = warp(a) + (i * (warp(b) - warp(a))) / count;
      return i === 0 ? a : i === count ? b : Math.sign(t) * LAYER_KNEE_PX * Math.expm1(Math.abs(t));
    });
  const span = warp(high) - warp(low);
  const steps = Math.min(MAX_LAYERS - 2, Math.max(1, Math.ceil(span / LAYER_STEP)));
  if (low >= 0 || high <= 0) return between(low, high, steps);
  const front = Math.min(Math.max(1, Math.round((steps * -warp(low)) / span)), MAX_LAYERS - 2);
  return [...between(low, 0, front), ...between(0, high, Math.max(1, steps - front)).slice(1)];
}

// Lower layer of every pixel and the share of the next layer; the mixture keeps the variance of the blur.
function layerPosition(signedPx, nodes) {
  const [index, share] = [new Uint8Array(signedPx.length), new Float32Array(signedPx.length)];
  if (nodes.length === 1) return { index, share };
  signedPx.forEach((px, i) => {
    let k = 0;
    while (k < nodes.length - 2 && nodes[k + 1] <= px) k += 1;
    index[i] = k;
    share[i] = clip((px * px - nodes[k] ** 2) / (nodes[k + 1] ** 2 - nodes[k] ** 2), 0, 1);
  });
  return { index, share };
}

const stepOf = (cocPx) => Math.max(1, Math.trunc(cocPx / FINE_PX));

// Planes of one layer blurred by a disc; a large one at a lower resolution, whose detail the blur removes anyway.
function blurredLayer(planes, h, w, cocPx) {
  if (cocPx < IDENTITY_BELOW_PX) return planes;
  const step = stepOf(cocPx);
  if (step === 1) return planes.map((plane) => discBlurred(plane, h, w, cocPx / 2));
  const [rows, columns] = [Math.ceil(h / step), Math.ceil(w / step)];
  return planes.map((plane) => {
    const small = discBlurred(averaged(plane, h, w, rows, columns, step), rows, columns, cocPx / step / 2);
    return enlarged(small, rows, columns, h, w, step);
  });
}

// Sums over a disc by running sums of rows: of every row of the disc, the part of the first and last pixel counts.
export function discBlurred(plane, h, w, radius) {
  const reach = Math.ceil(radius + 0.5) + 1;
  const padded = w + 2 * reach + 1;
  const columns = Int32Array.from({ length: padded }, (_, x) => reflected(x - reach, w));
  const sums = new Float64Array(h * padded); // before every pixel of a row, whose ends are reflected
  for (let y = 0; y < h; y++) {
    let total = 0;
    for (let x = 0, at = y * padded; x < padded; x++, at++) {
      sums[at] = total;
      total += plane[y * w + columns[x]];
    }
  }
  const spans = discRows(radius);
  const area = spans.reduce((total, { half }) => total + 2 * half, 0);
  const result = new Float32Array(h * w);
  const line = new Float64Array(w);
  for (let y = 0; y < h; y++) {
    line.fill(0);
    for (const { down, half } of spans) {
      const whole = Math.floor(half + 0.5);
      const part = half + 0.5 - whole;
      const rest = 1 - part;
      let left = reflected(y + down, h) * padded + reach - whole;
      let right = left + 2 * whole;
      for (let x = 0; x < w; x++, left++, right++) {
        line[x] += rest * (sums[right] - sums[left + 1]) + part * (sums[right + 1] - sums[left]);
      }
    }
    for (let x = 0; x < w; x++) result[y * w + x] = line[x] / area;
  }
  return result;
}

// Half widths of the rows of a disc in pixels, the mean over each row's height.
function discRows(radius) {
  const [rows, parts, reach] = [[], 8, Math.ceil(radius)];
  for (let down = -reach; down <= reach; down++) {
    let half = 0;
    for (let part = 0; part < parts; part++) {
      const y = down - 0.5 + (part + 0.5) / parts;
      half += Math.sqrt(Math.max(radius * radius - y * y, 0)) / parts;
    }
    if (half > 0) rows.push({ down, half: half });
  }
  return rows;
}

function reflected(i, length) {
  const turn = ((i % (2 * length)) + 2 * length) % (2 * length);
  return turn < length ? turn : 2 * length - 1 - turn;
}

function averaged(plane, h, w, rows, columns, step) {
  const result = new Float32Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    const [top, bottom] = [y * step, Math.min(h, (y + 1) * step)];
    for (let x = 0; x < columns; x++) {
      const [left, right] = [x * step, Math.min(w, (x + 1) * step)];
      let total = 0;
      for (let row = top; row < bottom; row++) for (let at = left; at < right; at++) total += plane[row * w + at];
      result[y * columns + x] = total / ((bottom - top) * (right - left));
    }
  }
  return result;
}

// Bilinear, aligned at pixel centres.
function enlarged(plane, rows, columns, h, w, step) {
  const places = (count, size) =>
    Array.from({ length: size }, (_, i) => {
      const at = clip((i + 0.5) / step - 0.5, 0, count - 1);
      const below = Math.min(Math.floor(at), Math.max(count - 2, 0));
      return { below, above: Math.min(below + 1, count - 1), share: at - below };
    });
  const [down, across] = [places(rows, h), places(columns, w)];
  const result = new Float32Array(h * w);
  down.forEach((row, y) => {
    const [upper, lower] = [row.below * columns, row.above * columns];
    across.forEach((column, x) => {
      const top = plane[upper + column.below] * (1 - column.share) + plane[upper + column.above] * column.share;
      const bottom = plane[lower + column.below] * (1 - column.share) + plane[lower + column.above] * column.share;
      result[y * w + x] = top * (1 - row.share) + bottom * row.share;
    });
  });
  return result;
}
