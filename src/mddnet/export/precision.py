"""Graphs that compute in float16 or int8, and the differences of their maps from those of float32."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from mddnet.data.disc_blur import blurred_by_disc
from mddnet.errors import ModelError
from mddnet.types import Float32Array

Precision = Literal["fp32", "fp16", "int8"]
IMAGE_SIZE = (192, 256)
DISCS_PX = (0.0, 3.0, 6.0, 12.0)
IMAGES = 3


def converted(graph: onnx.ModelProto, precision: Literal["fp16", "int8"]) -> onnx.ModelProto:
    """Convert a copy of a float32 graph to another precision; its inputs and outputs stay float32.

    ``int8`` is ONNX Runtime's dynamic quantisation: weights are quantised in advance, activations at run time.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    if precision == "fp16":
        half = OnnxModel(convert_float_to_float16(copy, keep_io_types=True))
        half.topological_sort()  # the converter appends the casts of the inputs
        return half.model
    del copy.graph.value_info[:]  # its names of dimensions differ from those of the padded graph
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        # unsigned: ONNX Runtime has no convolution with signed 8-bit weights on a CPU
        quantize_dynamic(copy, target, weight_type=QuantType.QUInt8)
        return onnx.load(target)


def differences(reference: onnx.ModelProto, other: onnx.ModelProto) -> dict[str, float]:
    """Differences of the maps of a graph from those of the float32 one, on synthetic images blurred in strips.

    Mean absolute difference of relative inverse depth over its standard deviation, and of CoC in pixels, the largest
    one of CoC, and the share of blurred pixels with the same sign. ModelError if ONNX Runtime cannot run the other
    graph on a CPU.
    """
    images = _test_images()
    try:
        maps, others = (
            onnxruntime.InferenceSession(g.SerializeToString(), providers=["CPUExecutionProvider"]).run(
                ["inv_depth", "defocus_px", "sign_logit"], {"image": images}
            )
            for g in (reference, other)
        )
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise ModelError(
            f"ONNX Runtime cannot run the graph on a CPU ({error}); export it in another precision"
        ) from error
    depth, defocus, _ = (np.abs(a - b) for a, b in zip(maps, others, strict=True))
    blurred = maps[1] > 1.0
    same = (maps[2] > 0) == (others[2] > 0)
    return {
        "inv_depth_mean": round(float(depth.mean() / maps[0].std()), 5),
        "defocus_px_mean": round(float(defocus.mean()), 4),
        "defocus_px_largest": round(float(defocus.max()), 3),
        "same_sign_share": round(float(same[blurred].mean()) if blurred.any() else 1.0, 4),
    }


def _test_images() -> Float32Array:
    """(N, 3, H, W) sRGB in [0, 1]: texture of all scales, blurred by a larger disc from strip to strip."""
    rng = np.random.default_rng(0)
    height, width = IMAGE_SIZE
    edges = np.linspace(0, width, len(DISCS_PX) + 1).astype(int)
    images = []
    for _ in range(IMAGES):
        texture = np.full((height, width, 3), 128.0)
        for scale in (1, 2, 4, 8, 16, 32):
            coarse = rng.standard_normal((height // scale + 1, width // scale + 1, 3)).astype(np.float32)
            texture += 20.0 * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        sharp = np.clip(texture, 0, 255).astype(np.uint8)
        strips = [
            blurred_by_disc(sharp, diameter)[:, low:high]
            for diameter, low, high in zip(DISCS_PX, edges[:-1], edges[1:], strict=True)
        ]
        images.append(np.concatenate(strips, axis=1).transpose(2, 0, 1))
    return np.stack(images).astype(np.float32) / np.float32(255)
