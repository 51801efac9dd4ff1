"""A network in an ONNX file, with a description beside it that says what goes in and what comes out."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mddnet.errors import ModelError
from mddnet.evaluate.methods import Quantity, answer_of
from mddnet.metrics import Answer
from mddnet.types import Float32Array, UInt8Array

EXAMPLE = """name = "a name for the tables"
quantity = "inv_depth"            # or depth_m, defocus_px, sigma_px, dmenet_sigma, blur_probability, blur_score
long_side = 518                   # the photo is made smaller to this; or size = [height, width]
multiple = 14                     # both sides are padded to multiples of this
mean = [0.485, 0.456, 0.406]      # the input is (pixel / 255 - mean) / std
std = [0.229, 0.224, 0.225]"""
"""What a description looks like."""


class OnnxDescription(BaseModel):
    """What ``MODEL.toml`` beside ``MODEL.onnx`` says.

    Attributes:
        name: in tables and JSON.
        quantity: what the output holds. Lengths are in pixels of the network's input, and converted to the photo's.
        output: name of the output; None is the only one.
        size: (height, width) that every photo is resized to.
        long_side: a photo is made smaller to this; None leaves its size.
        multiple: both sides are padded, by reflection, to multiples of this.
        mean: of the channels, subtracted from pixel / 255.
        std: what the difference is divided by.
        channels: their order.
        layout: of the input tensor: ``nchw`` (1, 3, H, W) or ``nhwc`` (1, H, W, 3).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    quantity: Quantity
    output: str | None = None
    size: tuple[int, int] | None = None
    long_side: int | None = Field(default=None, ge=16)
    multiple: int = Field(default=1, ge=1)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"

    @model_validator(mode="after")
    def _consistent(self) -> OnnxDescription:
        if self.size is not None and (self.long_side is not None or min(self.size) < 16):
            raise ValueError(f"size {self.size}, long_side {self.long_side}: expected one of them, sides of 16 or more")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std {self.std}: expected positive numbers")
        return self


def read_description(path: Path) -> OnnxDescription:
    """Read ``MODEL.toml``.

    Raises:
        ModelError: if it is missing, or names what an :class:`OnnxDescription` does not have.
    """
    try:
        with path.open("rb") as stream:
            return OnnxDescription.model_validate(tomllib.load(stream))
    except OSError as error:
        raise ModelError(
            f"{path}: not readable ({error.strerror}); expected a description of the ONNX file, such as\n{EXAMPLE}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: not TOML ({error}); expected such as\n{EXAMPLE}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(f"{path}: {where}: {first['msg']}; expected such as\n{EXAMPLE}") from error


class OnnxModel:
    """A network in an ONNX file, whose description states its quantity."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Read the description and load the graph.

        Args:
            path: ``MODEL.onnx``; ``MODEL.toml`` beside it is an :class:`OnnxDescription`.
            threads: processor cores that a run uses at most.

        Raises:
            ModelError: if one of the files is missing or damaged, or they do not fit.
        """
        if not path.is_file():
            raise ModelError(f"{path}: no such file; expected an ONNX file")
        self.path = path
        self.description = read_description(path.with_suffix(".toml"))
        self.name = self.description.name
        self.quantities: tuple[Quantity, ...] = (self.description.quantity,)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # ONNX Runtime raises classes of its own that share no public base
            raise ModelError(f"{path}: not a graph that ONNX Runtime can run ({error})") from error
        inputs = self._session.get_inputs()
        outputs = [node.name for node in self._session.get_outputs()]
        if len(inputs) != 1 or inputs[0].type not in ("tensor(float)", "tensor(float16)"):
            found = [(node.name, node.type) for node in inputs]
            raise ModelError(f"{path}: inputs {found}; expected one image of floats")
        wanted = self.description.output
        if (wanted is None and len(outputs) != 1) or (wanted is not None and wanted not in outputs):
            raise ModelError(f"{path}: outputs {', '.join(outputs)}; name one of them as `output` in {path.stem}.toml")
        self._input, self._output = inputs[0], wanted or outputs[0]

    def infer(self, photo: UInt8Array, /) -> Answer:
        """The map at the photo's size, (H, W); lengths in pixels of the photo.

        Raises:
            ModelError: if the graph cannot run on the photo, or its output is no map.
        """
        said = self.description
        height, width = photo.shape[:2]
        h, w = self._network_size(height, width)
        seen = photo
        if (h, w) != (height, width):
            seen = np.asarray(Image.fromarray(photo).resize((w, h), Image.Resampling.BICUBIC, reducing_gap=3.0))
        padded = np.pad(seen, ((0, -h % said.multiple), (0, -w % said.multiple), (0, 0)), mode="symmetric")
        if said.channels == "bgr":
            padded = padded[..., ::-1]
        mean, std = np.array(said.mean, dtype=np.float32), np.array(said.std, dtype=np.float32)
        scaled = (padded.astype(np.float32) / np.float32(255) - mean) / std
        tensor = scaled[None] if said.layout == "nhwc" else scaled.transpose(2, 0, 1)[None]
        kind = np.float16 if self._input.type == "tensor(float16)" else np.float32
        try:
            (output,) = self._session.run([self._output], {self._input.name: np.ascontiguousarray(tensor, dtype=kind)})
        except Exception as error:
            raise ModelError(f"{self.path}: cannot run on an input {tensor.shape} ({error})") from error
        values = np.asarray(output, dtype=np.float32)
        # batch and channel, wherever the exporter left them
        values = values.reshape([side for side in values.shape if side != 1])
        if values.ndim != 2:
            raise ModelError(f"{self.path}: {self._output} has shape {np.shape(output)}; expected one map")
        # a network may answer at a lower resolution than it sees
        down, across = padded.shape[0] / values.shape[0], padded.shape[1] / values.shape[1]
        box = (0.0, 0.0, w / across, h / down)
        picture = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR, box=box)
        answer = np.array(picture, dtype=np.float32)
        return answer_of(
            said.quantity, _in_photo_pixels(answer, said.quantity, float(np.sqrt(height * width / (h * w))))
        )

    def _network_size(self, height: int, width: int) -> tuple[int, int]:
        if self.description.size is not None:
            return self.description.size
        if self.description.long_side is None:
            return height, width
        scale = min(1.0, self.description.long_side / max(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))


def _in_photo_pixels(values: Float32Array, quantity: Quantity, scale: float) -> Float32Array:
    """Lengths in pixels of the network's input as lengths in pixels of the photo, ``scale`` of which are one."""
    # a normalised sigma is a length, too: what was clipped in a small input stays a lower limit in the photo
    return values * np.float32(scale) if quantity in ("defocus_px", "sigma_px", "dmenet_sigma") else values
