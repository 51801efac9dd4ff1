// What the scene says about the camera: see src/mddnet/predict/camera_estimate.py.
import { clip } from "./arrays.js";

// factors: of the errors of the field of view and of the median depth, by the calibration of the model.
export function cameraEstimate(output, factors) {
  const [fov, depth, fovLogScale, depthLogScale] = [...output].map((value) => clip(value, -20, 20));
  const error = (logScale) => Math.SQRT2 * Math.exp(Math.min(logScale, 3));
  return {
    tanHalfFov: Math.exp(fov),
    tanHalfFovError: error(fovLogScale) * factors[0],
    medianDepthM: Math.exp(depth),
    medianDepthError: error(depthLogScale) * factors[1],
  };
}
