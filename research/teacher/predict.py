"""Relative inverse depth of a photo by a trained teacher, by the mean of several, or by what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from research.teacher.network import ConvDepth, DinoDepth
from safetensors import safe_open
from safetensors.torch import load_file

from mddnet.metrics import vertical_position

RGB = NDArray[np.uint8]
Map = NDArray[np.float32]
Predictor = Callable[[RGB], Map]
"""(H, W, 3) sRGB -> (H, W) inverse depth of any unit, larger is nearer."""


def standardised(values: Map) -> Map:
    """Less the median, over the mean absolute deviation."""
    shift = np.median(values)
    return ((values - shift) / max(float(np.abs(values - shift).mean()), 1e-6)).astype(np.float32)


def fitting_size(height: int, width: int, area: int, multiple: int) -> tuple[int, int]:
    """The size in multiples of a number that keeps the shape and has about that area."""
    scale = (area / (height * width)) ** 0.5
    rows, columns = (max(multiple, multiple * round(side * scale / multiple)) for side in (height, width))
    return rows, columns


class Teacher:
    """A trained network; sizes and mirrored pictures are averaged."""

    def __init__(
        self, weights: Path, areas: Sequence[int] = (252 * 336,), mirror: bool = True, bf16: bool = False
    ) -> None:
        with safe_open(weights, "pt") as file:
            kind = (file.metadata() or {}).get("network", "dino")
        self.network = ConvDepth() if kind == "conv" else DinoDepth()
        self.network.load_state_dict(load_file(weights), strict=True)
        self.network.eval()
        self.areas, self.mirror, self.bf16 = areas, mirror, bf16

    @torch.inference_mode()
    def at(self, rgb: RGB, area: int) -> Map:
        """One pass, or two with the mirrored picture, at about that many pixels."""
        size = fitting_size(rgb.shape[0], rgb.shape[1], area, self.network.multiple)
        kind = cv2.INTER_AREA if size[0] < rgb.shape[0] else cv2.INTER_CUBIC
        small = cv2.resize(rgb, size[::-1], interpolation=kind)
        image = torch.from_numpy(small.transpose(2, 0, 1).copy())[None].float() / 255
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            pred = self.network(image).float()
            if self.mirror:
                pred = (pred + self.network(image.flip(3)).float().flip(2)) / 2
        return standardised(cv2.resize(pred[0].numpy(), rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR))

    def __call__(self, rgb: RGB) -> Map:
        return np.mean([self.at(rgb, area) for area in self.areas], axis=0)


def mean_of(predictors: Sequence[Predictor]) -> Predictor:
    """The mean of standardised maps."""
    return lambda rgb: np.mean([standardised(predictor(rgb)) for predictor in predictors], axis=0)


def vertical_prior(rgb: RGB) -> Map:
    """Lower in the picture is nearer."""
    return vertical_position(rgb.shape[0], rgb.shape[1])


def pydnet(path: Path) -> Predictor:
    """PyDNet++, a trained peer for comparison only, from its TFLite file: 448x640 RGB in [0, 1].

    Its output grows with distance (measured: this input and sign order dev photos best of the usual ones), and a corner
    of it is an artefact of many times the range.
    """
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped]

    interpreter = Interpreter(model_path=str(path), num_threads=2)
    interpreter.allocate_tensors()
    inside, outside = interpreter.get_input_details()[0], interpreter.get_output_details()

    def predict(rgb: RGB) -> Map:
        small = cv2.resize(rgb, (640, 448), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
        interpreter.set_tensor(inside["index"], small[None])
        interpreter.invoke()
        largest = max(outside, key=lambda details: int(np.prod(details["shape"])))
        distance = np.squeeze(interpreter.get_tensor(largest["index"]))
        depth = -np.clip(distance, *np.percentile(distance, (0.5, 99.5)))
        return cv2.resize(depth.astype(np.float32), rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)

    return predict


def of_model(reference: str) -> Predictor:
    """A model of mddnet, by its name or folder."""
    import mddnet

    model = mddnet.load(reference)
    return lambda rgb: model.predict(rgb).inv_depth


def parse(text: str, bf16: bool = False) -> Predictor:
    """``prior``, ``shipped``, a model folder, ``x.tflite``, or ``x.safetensors@392x518@252x336``; + for their mean."""
    parts = text.split("+")
    if len(parts) > 1:
        return mean_of([parse(part, bf16) for part in parts])
    if text == "prior":
        return vertical_prior
    if text == "shipped" or Path(text).is_dir():
        return of_model("small" if text == "shipped" else text)
    name, *sizes = text.split("@")
    if name.endswith(".tflite"):
        return pydnet(Path(name))
    areas = [int(size.split("x")[0]) * int(size.split("x")[1]) for size in sizes]
    return Teacher(Path(name), areas or (252 * 336,), bf16=bf16)
