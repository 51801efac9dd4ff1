// Resampling as Pillow does it, to the bit for bytes: the network must see the same image here and in Python.
// Coefficients and roundings are those of Pillow's Resample.c and Reduce.c.
import { f32 } from "./arrays.js";

const PRECISION_BITS = 32 - 8 - 2;
const ROUNDED_UP = 1 << (PRECISION_BITS - 1);

function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}
const LANCZOS = { support: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) };
const BILINEAR = { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) };

// First input and weights of every output along one axis; `extent` is the part of the input that is used.
function coefficients(filter, size, extent, wanted) {
  const scale = extent / wanted;
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  const result = [];
  for (let i = 0; i < wanted; i++) {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const stop = Math.min(size, Math.trunc(center + support + 0.5));
    const weights = new Float64Array(stop - first);
    let total = 0;
    for (let k = 0; k < weights.length; k++) {
      weights[k] = filter.at((k + first - center + 0.5) * (1 / stretch));
      total += weights[k];
    }
    if (total !== 0) for (let k = 0; k < weights.length; k++) weights[k] *= 1 / total;
    result.push({ first, weights });
  }
  return result;
}

const inBits = (weight) => Math.trunc((weight < 0 ? -0.5 : 0.5) + weight * (1 << PRECISION_BITS));
const toByte = (fixed) => Math.min(255, Math.max(0, fixed >> PRECISION_BITS));

// { h, w, data } of RGB bytes, resized; `reducingGap` as in Pillow: averages of whole pixels first.
export function resizedLanczos(picture, h, w, reducingGap) {
  const factorX = Math.trunc(picture.w / w / reducingGap) || 1;
  const factorY = Math.trunc(picture.h / h / reducingGap) || 1;
  const [extentX, extentY] = [f32(picture.w / factorX), f32(picture.h / factorY)]; // floats in Pillow
  const reduced = factorX > 1 || factorY > 1 ? reducedBy(picture, factorX, factorY) : picture;
  let result = reduced;
  if (w !== reduced.w || extentX !== w) result = resizedAcross(result, coefficients(LANCZOS, reduced.w, extentX, w));
  if (h !== reduced.h || extentY !== h) result = resizedDown(result, coefficients(LANCZOS, reduced.h, extentY, h));
  return result;
}

function resizedAcross({ h, w, data }, columns) {
  const result = new Uint8Array(h * columns.length * 3);
  for (let x = 0; x < columns.length; x++) {
    const weights = Int32Array.from(columns[x].weights, inBits);
    for (let y = 0; y < h; y++) {
      let [r, g, b] = [ROUNDED_UP, ROUNDED_UP, ROUNDED_UP];
      let at = (y * w + columns[x].first) * 3;
      for (let k = 0; k < weights.length; k++, at += 3) {
        r += data[at] * weights[k];
        g += data[at + 1] * weights[k];
        b += data[at + 2] * weights[k];
      }
      const to = (y * columns.length + x) * 3;
      result[to] = toByte(r);
      result[to + 1] = toByte(g);
      result[to + 2] = toByte(b);
    }
  }
  return { h, w: columns.length, data: result };
}

function resizedDown({ w, data }, rows) {
  const length = w * 3;
  const result = new Uint8Array(rows.length * length);
  const sums = new Int32Array(length);
  rows.forEach(({ first, weights }, y) => {
    sums.fill(ROUNDED_UP);
    weights.forEach((weight, k) => {
      const fixed = inBits(weight);
      const start = (first + k) * length;
      for (let i = 0; i < length; i++) sums[i] += data[start + i] * fixed;
    });
    for (let i = 0; i < length; i++) result[y * length + i] = toByte(sums[i]);
  });
  return { h: rows.length, w, data: result };
}

// { h, w, data } of RGB bytes, averaged over squares; the last ones may be smaller.
export function reducedBy({ h, w, data }, factorX, factorY = factorX) {
  const [rows, columns] = [Math.ceil(h / factorY), Math.ceil(w / factorX)];
  const result = new Uint8Array(rows * columns * 3);
  for (let y = 0; y < rows; y++) {
    const [top, bottom] = [y * factorY, Math.min(h, (y + 1) * factorY)];
    for (let x = 0; x < columns; x++) {
      const [left, right] = [x * factorX, Math.min(w, (x + 1) * factorX)];
      const count = (bottom - top) * (right - left);
      const multiplier = Math.trunc(f32(2 ** 32 / (256 * count)));
      for (let channel = 0; channel < 3; channel++) {
        let total = count >> 1;
        for (let row = top; row < bottom; row++) {
          for (let at = (row * w + left) * 3 + channel, end = (row * w + right) * 3; at < end; at += 3) {
            total += data[at];
          }
        }
        result[(y * columns + x) * 3 + channel] = Math.imul(total, multiplier) >>> 24;
      }
    }
  }
  return { h: rows, w: columns, data: result };
}

// A float map resized with the bilinear filter, which averages when it makes smaller.
export function resizedBilinear(map, h, w) {
  let result = map;
  if (w !== map.w) {
    const columns = coefficients(BILINEAR, map.w, map.w, w);
    const data = new Float32Array(map.h * w);
    for (let y = 0; y < map.h; y++) {
      const row = y * map.w;
      for (let x = 0; x < w; x++) {
        const { first, weights } = columns[x];
        let total = 0;
        for (let k = 0; k < weights.length; k++) total += map.data[row + first + k] * weights[k];
        data[y * w + x] = total;
      }
    }
    result = { h: map.h, w, data };
  }
  if (h === map.h) return result;
  const data = new Float32Array(h * w);
  const sums = new Float64Array(w);
  coefficients(BILINEAR, map.h, map.h, h).forEach(({ first, weights }, y) => {
    sums.fill(0);
    weights.forEach((weight, k) => {
      for (let x = 0; x < w; x++) sums[x] += result.data[(first + k) * w + x] * weight;
    });
    data.set(sums, y * w);
  });
  return { h, w, data };
}
