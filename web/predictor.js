// Prediction of the maps of a photo with ONNX Runtime: see src/mddnet/predict/predictor.py.
import { roundHalfEven } from "./arrays.js";
import { cameraEstimate } from "./camera_estimate.js";
import { CAMERA_ERROR, DEFOCUS_CAP_PX, LONG_SIDE, METRIC_ERRORS, MULTIPLE } from "./constants/model.js";
import { INPUT_NAME, MAP_NAMES, OUTPUT_NAMES } from "./constants/model_dir.js";
import { LARGEST_UPSAMPLING, MAX_ASPECT, MIN_LONG_SIDE_PX, TOP_PADDING_PX } from "./constants/predictor.js";
import { MIN_SIDE_PX } from "./constants/reader.js";
import { MAP_STRIDE } from "./constants/types.js";
import { fuse } from "./fusion.js";
import * as ort from "./ort.js";
import { resizedLanczos } from "./pillow.js";

const MOST_THREADS = 4;
const REDUCING_GAP = 3; // as in network_maps of predictor.py
export const NO_LENS = { focalMm: null, fNumber: null, pixelUm: null, focusM: null };

// Noise of the usual size.
const WARM_UP = { h: 384, w: LONG_SIDE, data: Uint8Array.from({ length: 3 * 384 * LONG_SIDE }, (_, i) => (i * 97) % 251) };

// A sentence for the visitor.
export class ImageError extends Error {}

export class Model {
  static async load() {
    ort.env.wasm.wasmPaths = { wasm: new URL("./ort.wasm", import.meta.url).href };
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
    const answer = await fetch(new URL("./model.onnx", import.meta.url));
    if (!answer.ok) throw new Error(`model.onnx: the server answers ${answer.status}; serve the whole folder`);
    const model = new Model();
    model.session = await ort.InferenceSession.create(new Uint8Array(await answer.arrayBuffer()), {
      executionProviders: ["wasm"],
    });
    await model.predict(WARM_UP); // compiles what the first photo would wait for
    return model;
  }

  // Run the network once on a { h, w, data } of RGB bytes, and return its maps before the fusion.
  async networkMaps(photo) {
    const { h, w } = networkSize(photo.h, photo.w);
    const small = h === photo.h && w === photo.w ? photo : resizedLanczos(photo, h, w, REDUCING_GAP);
    const { height, width, data } = inputOf(small);
    const image = new ort.Tensor("float32", data, [1, 3, height, width]);
    const outputs = await this.session.run({ [INPUT_NAME]: image }, [...OUTPUT_NAMES]);
    const [rows, columns] = [Math.ceil(h / MAP_STRIDE), Math.ceil(w / MAP_STRIDE)];
    const [depth, depthLogSigma, cocPx, cocLogSigma, signLogit] = MAP_NAMES.map((name) => {
      const values = cropped(outputs[name].data, width / MAP_STRIDE, TOP_PADDING_PX / MAP_STRIDE, rows, columns);
      if (!values.every(Number.isFinite)) throw new Error(`${name}: the network's answer is not finite`);
      return values;
    });
    return {
      h: rows, w: columns, depth, depthLogSigma, cocPx: cocPx.map((px) => Math.max(px, 0)), cocLogSigma, signLogit,
      photo: small,
      scale: Math.sqrt((photo.h * photo.w) / (h * w)),
      camera: cameraEstimate(outputs.camera.data, CAMERA_ERROR),
    };
  }

  async predict(photo, lens = NO_LENS) {
    return fuse(await this.networkMaps(photo), lens, DEFOCUS_CAP_PX, METRIC_ERRORS);
  }
}

// Height and width of the network's image; ImageError for a photo that is too small or too thin.
export function networkSize(height, width) {
  const [longer, shorter] = [Math.max(height, width), Math.min(height, width)];
  if (shorter < MIN_SIDE_PX) {
    throw new ImageError(`${width} x ${height} px is too small: expected at least ${MIN_SIDE_PX} px on each edge`);
  }
  if (longer > MAX_ASPECT * shorter) {
    throw new ImageError(`${width} x ${height} px: more than ${MAX_ASPECT} times as long as wide; crop the photo`);
  }
  const wanted = Math.min(LARGEST_UPSAMPLING, LONG_SIDE / longer);
  const scale = Math.max(wanted, MIN_LONG_SIDE_PX / longer, MIN_SIDE_PX / shorter);
  return { h: roundHalfEven(height * scale), w: roundHalfEven(width * scale) };
}

// Planes of red, green and blue in [0, 1], reflected above and at the border to multiples of the network's unit.
function inputOf({ h, w, data }) {
  const [below, width] = [h, w].map((size) => Math.ceil(size / MULTIPLE) * MULTIPLE);
  const height = TOP_PADDING_PX + below;
  const planes = new Float32Array(3 * height * width);
  for (let y = 0; y < height; y++) {
    const row = reflected(y - TOP_PADDING_PX, h);
    for (let x = 0; x < width; x++) {
      const at = (row * w + reflected(x, w)) * 3;
      for (let channel = 0; channel < 3; channel++) {
        planes[(channel * height + y) * width + x] = data[at + channel] / 255;
      }
    }
  }
  return { height, width, data: planes };
}

// Index in a line of that size of an index beyond its ends, as NumPy's mode "reflect" has it.
function reflected(index, size) {
  const period = 2 * (size - 1);
  const inside = ((index % period) + period) % period;
  return inside < size ? inside : period - inside;
}

function cropped(values, stride, top, rows, columns) {
  const result = new Float32Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    result.set(values.subarray((top + y) * stride, (top + y) * stride + columns), y * columns);
  }
  return result;
}
