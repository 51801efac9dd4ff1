// Means over neighbours across no edge, and joint bilateral upsampling: see src/mddnet/predict/edge_aware.py.
import { LEAST_WEIGHT, UPSAMPLING_COLOUR } from "./constants/edge_aware.js";
import { reducedBy } from "./pillow.js";

// { h, w, data } of RGB bytes averaged over squares of `stride` pixels: RGB in [0, 1].
export function cellMeans(photo, stride) {
  const { h, w, data } = reducedBy(photo, stride);
  return { h, w, data: new Float32Array(data).map((value) => value / 255) };
}

// Weighted means over square neighbourhoods; weights fall with the distance between the vectors of `channels`.
export class EdgeAwareMean {
  constructor(h, w, channels, radius) {
    [this.h, this.w, this.pairs] = [h, w, []];
    for (let down = 0; down <= radius; down++) {
      for (let right = -radius; right <= radius; right++) {
        const outside = down * down + right * right > radius * radius + 1 || down >= h || Math.abs(right) >= w;
        if ((down === 0 && right <= 0) || outside) continue;
        const distance = ((down * down + right * right) * 2) / (radius * radius);
        const weight = new Float32Array(h * w);
        this.#each(down, right, (here, there) => {
          let apart = 0;
          for (const channel of channels) apart += (channel[here] - channel[there]) ** 2;
          weight[here] = Math.exp(-0.5 * apart - distance);
        });
        this.pairs.push({ down, right, weight });
      }
    }
    this.total = this.#sum(new Float32Array(h * w).fill(1));
  }

  #each(down, right, visit) {
    const [from, to] = [Math.max(0, -right), Math.min(this.w, this.w - right)];
    for (let y = 0; y < this.h - down; y++) {
      for (let x = from; x < to; x++) visit(y * this.w + x, (y + down) * this.w + x + right);
    }
  }

  #sum(values) {
    const total = new Float64Array(values);
    for (const { down, right, weight } of this.pairs) {
      this.#each(down, right, (here, there) => {
        total[here] += weight[here] * values[there];
        total[there] += weight[here] * values[here];
      });
    }
    return total;
  }

  // The mean around every pixel.
  of(values) {
    return new Float32Array(this.#sum(values).map((value, i) => value / this.total[i]));
  }
}

// Maps on cells of `stride` pixels, brought to the size of their photo; colours: of cellMeans.
export function upsampledAlong(photo, colours, stride, maps) {
  const { h: height, w: width, data } = photo;
  const { h, w } = colours;
  const scale = -0.5 / (3 * (255 * UPSAMPLING_COLOUR) ** 2);
  const spline = splineOf(stride);
  const bytes = colours.data.map((value) => 255 * value);
  const results = maps.map(() => new Float32Array(height * width));
  const count = maps.length;
  const cells = new Float32Array(h * w * count); // the maps' values of a cell next to each other
  maps.forEach((values, k) => values.forEach((value, cell) => (cells[cell * count + k] = value)));
  const sums = new Float64Array(count);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(y / stride);
    const above = [Math.max(row - 1, 0) * w, row * w, Math.min(row + 1, h - 1) * w];
    const down = spline[y % stride];
    for (let x = 0; x < width; x++) {
      const column = Math.floor(x / stride);
      const across = spline[x % stride];
      const at = y * width + x;
      const [r, g, b] = [data[3 * at], data[3 * at + 1], data[3 * at + 2]];
      let total = 0;
      sums.fill(0);
      for (let j = 0; j < 3; j++) {
        const beside = j === 0 ? Math.max(column - 1, 0) : j === 1 ? column : Math.min(column + 1, w - 1);
        for (let i = 0; i < 3; i++) {
          const cell = above[i] + beside;
          const [dr, dg, db] = [r - bytes[3 * cell], g - bytes[3 * cell + 1], b - bytes[3 * cell + 2]];
          const weight = (Math.exp((dr * dr + dg * dg + db * db) * scale) + LEAST_WEIGHT) * down[i] * across[j];
          total += weight;
          for (let k = 0, from = cell * count; k < count; k++) sums[k] += weight * cells[from + k];
        }
      }
      for (let k = 0; k < count; k++) results[k][at] = sums[k] / total;
    }
  }
  return results;
}

// For every phase of a pixel in its cell, the weights of the cell before, the own cell and the cell after.
function splineOf(stride) {
  return Array.from({ length: stride }, (_, phase) => {
    const x = (phase + 0.5) / stride - 0.5;
    return [0.5 * (0.5 - x) ** 2, 0.75 - x * x, 0.5 * (0.5 + x) ** 2];
  });
}
