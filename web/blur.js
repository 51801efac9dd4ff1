// The blur of every cell of a photo, with its error: see src/mddnet/predict/blur.py.
import { LEAST_ERROR_PX } from "./constants/blur.js";

// px: CoC diameters in pixels of the network's image; rootSigma: errors of their square roots.
export class Blur {
  constructor(px, rootSigma) {
    this.px = px;
    this.rootSigma = rootSigma;
    this.root = px.map(Math.sqrt);
    this.sigmaPx = px.map((_, i) =>
      Math.hypot(rootSigma[i] * (2 * this.root[i] + rootSigma[i]), LEAST_ERROR_PX));
  }
}
