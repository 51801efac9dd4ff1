// The work of the page, in a thread of its own. A request is { id, job, ... }, the answer { id, result } or
// { id, error }; `error` is a sentence for the visitor.
import { roundHalfEven } from "./arrays.js";
import { DEPTH_COLOURS, SIGN_COLOURS, colours, previewRange } from "./color_maps.js";
import { DEFOCUS_CAP_PX, MDDNET_VERSION, METRIC_ERRORS, VERSION } from "./constants/model.js";
import { fuse } from "./fusion.js";
import { resizedLanczos } from "./pillow.js";
import { fitted } from "./prediction.js";
import { ImageError, Model, networkSize } from "./predictor.js";
import { refocused } from "./refocus.js";
import { tiff } from "./tiff.js";

const PAGE_SIDE_PX = 800; // largest long side on the page
const SAVED_SIDE_PX = 2048; // largest long side of a refocused picture to download
const GREY = "rgb(128 128 128)"; // behind transparent parts, as in Python
const MEANINGS = {
  inv_depth: { larger: "nearer" },
  defocus_px: { unit: "px", meaning: "diameter of the circle of confusion" },
  signed_defocus_px: { unit: "px", positive: "behind the plane of focus" },
  confidence: { unit: "1", meaning: "agreement with lens law and texture; not calibrated", scale: 1 / 255 },
};

const loading = Model.load();
loading.catch(() => {}); // every request that needs it says why
let current = null; // { photo, shown, answers, prediction }

const jobs = {
  load: async () => void (await loading),
  photo: async ({ file, lens }) => {
    const started = performance.now();
    const { photo, shown } = await decoded(file);
    const model = await loading;
    const answers = await model.networkMaps(photo);
    current = { photo, shown, answers };
    return { ...fusedResult(lens), shown: rgba(shown), seconds: (performance.now() - started) / 1000 };
  },
  lens: ({ lens }) => fusedResult(lens),
  refocus: ({ strength, point }) => {
    const data = refocused(current.shown, current.prediction, strength, point);
    return data && image(current.shown, data);
  },
  picture: async ({ strength, point }) => {
    const picture = smaller(current.photo, SAVED_SIDE_PX);
    const data = refocused(picture, current.prediction, strength, point);
    return blobOf(data ? image(picture, data) : rgba(picture));
  },
  map: ({ quantity }) => {
    const map = fitted(current.prediction.maps, quantity, current.photo.h, current.photo.w);
    const unit = quantity === "inv_depth" ? { unit: current.prediction.unit } : {};
    const facts = { mddnet: MDDNET_VERSION, quantity, ...unit, ...MEANINGS[quantity], model: VERSION };
    const bytes = (data) => Uint8Array.from(data, (value) => value * 255 + 0.5);
    return tiff(quantity === "confidence" ? { ...map, data: bytes(map.data) } : map, JSON.stringify(facts));
  },
};

async function answer({ id, job, ...request }) {
  try {
    self.postMessage({ id, result: await jobs[job](request) });
  } catch (error) {
    self.postMessage({ id, error: error.message ?? String(error) });
  }
}

let last = Promise.resolve(); // one job at a time
self.onmessage = ({ data }) => (last = last.then(() => answer(data)));

function fusedResult(lens) {
  const { photo, answers } = current;
  const fusion = fuse(answers, lens, DEFOCUS_CAP_PX, METRIC_ERRORS);
  current.prediction = { ...fusion, height: photo.h, width: photo.w };
  const { h, w } = answers.photo;
  const [invDepth, signed] = ["inv_depth", "signed_defocus_px"].map((name) => fitted(fusion.maps, name, h, w));
  const range = previewRange(invDepth.data, signed.data, Math.max(photo.h, photo.w));
  return {
    height: photo.h, width: photo.w, unit: fusion.unit, focus: fusion.focus, notes: fusion.notes, range,
    invDepth, signed, confidence: fusion.maps.confidence,
    depthPicture: image(invDepth, colours(invDepth, range.low, range.high, DEPTH_COLOURS)),
    defocusPicture: image(signed, colours(signed, -range.mostPx, range.mostPx, SIGN_COLOURS)),
  };
}

// The photo as { h, w, data } of RGB bytes, upright, and `shown`, no larger than the page needs it.
async function decoded(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new ImageError("not a photo that this browser can read: expected JPEG, PNG, WebP or AVIF");
  }
  networkSize(bitmap.height, bitmap.width); // which refuses sizes
  const photo = pixelsOf(bitmap, 1);
  const scale = PAGE_SIDE_PX / Math.max(photo.h, photo.w);
  const shown = scale < 1 ? pixelsOf(bitmap, scale) : photo;
  bitmap.close();
  return { photo, shown };
}

function pixelsOf(bitmap, scale) {
  const [h, w] = [bitmap.height, bitmap.width].map((size) => Math.max(1, Math.round(size * scale)));
  const context = new OffscreenCanvas(w, h).getContext("2d", { willReadFrequently: true });
  if (context === null) throw new ImageError(`${w} x ${h} px is too large for this browser; resize it`);
  context.fillStyle = GREY;
  context.fillRect(0, 0, w, h);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, w, h);
  const { data } = context.getImageData(0, 0, w, h);
  const rgb = new Uint8Array(3 * h * w);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    rgb[to++] = data[from];
    rgb[to++] = data[from + 1];
    rgb[to++] = data[from + 2];
  }
  return { h, w, data: rgb };
}

function smaller(photo, side) {
  const scale = side / Math.max(photo.h, photo.w);
  if (scale >= 1) return photo;
  return resizedLanczos(photo, Math.max(1, roundHalfEven(photo.h * scale)), Math.max(1, roundHalfEven(photo.w * scale)), 2);
}

const image = ({ h, w }, data) => new ImageData(data, w, h);

function rgba({ h, w, data }) {
  const result = new Uint8ClampedArray(4 * h * w).fill(255);
  for (let i = 0; i < h * w; i++) {
    result[4 * i] = data[3 * i];
    result[4 * i + 1] = data[3 * i + 1];
    result[4 * i + 2] = data[3 * i + 2];
  }
  return new ImageData(result, w, h);
}

function blobOf(picture) {
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
}
