// What the scene says about the camera: see src/mddnet/predict/camera_estimate.py.
import { clip } from "./arrays.js";

export function cameraEstimate(output) {
  const [fov, depth, fovLogScale, depthLogScale] = [...output].map((value) => clip(value, -20, 20));
  const error = (logScale) => Math.SQRT2 * Math.exp(Math.min(logScale, 3));
  return {
    tanHalfFov: Math.exp(fov),
    tanHalfFovError: error(fovLogScale),
    medianDepthM: Math.exp(depth),
    medianDepthError: error(depthLogScale),
  };
}
