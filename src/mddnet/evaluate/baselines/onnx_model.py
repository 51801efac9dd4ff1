"""A network in an ONNX file, with a description of its input and output in a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mddnet.errors import ModelError
from mddnet.evaluate.methods import Quantity, estimate_from
from mddnet.metrics import Estimate
from mddnet.predict.runtime import open_session
from mddnet.types import Float32Array, UInt8Array

EXAMPLE = """name = "a name for the tables"
quantity = "inv_depth"            # or depth_m, defocus_px, sigma_px, dmenet_sigma, blur_probability, blur_score
long_side = 518                   # a larger photo is resized to this; or size = [height, width]
multiple = 14                     # height and width are padded to multiples of this
mean = [0.485, 0.456, 0.406]      # the input is (pixel / 255 - mean) / std
std = [0.229, 0.224, 0.225]"""
"""Example of a description, for error messages."""


class OnnxDescription(BaseModel):
    """Content of ``MODEL.toml``, the description of ``MODEL.onnx``. The input is (pixel / 255 - mean) / std."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    quantity: Quantity  # lengths are in pixels of the network's input, and are converted to those of the photo
    output: str | None = None  # name of the output; None is the only one
    size: tuple[int, int] | None = None  # (height, width) to which every photo is resized
    long_side: int | None = Field(default=None, ge=16)  # to which a larger photo is resized; None keeps its size
    multiple: int = Field(default=1, ge=1)  # height and width are padded, by reflection, to multiples of this
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"  # (1, 3, H, W) or (1, H, W, 3)

    @model_validator(mode="after")
    def _consistent(self) -> OnnxDescription:
        if self.size is not None and (self.long_side is not None or min(self.size) < 16):
            raise ValueError(f"size {self.size}, long_side {self.long_side}: expected one of them, sides of 16 or more")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std {self.std}: expected positive numbers")
        return self


def read_description(path: Path) -> OnnxDescription:
    """Read ``MODEL.toml``; ModelError if it is missing or is not an :class:`OnnxDescription`."""
    try:
        with path.open("rb") as stream:
            return OnnxDescription.model_validate(tomllib.load(stream))
    except OSError as error:
        reason = f"not readable ({error.strerror})"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = f"not TOML ({error})"
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(str(part) for part in first['loc']) or 'the file'}: {first['msg']}"
    raise ModelError(f"{path}: {reason}; expected a description of the ONNX file, such as\n{EXAMPLE}")


class OnnxModel:
    """A network in an ONNX file."""

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load ``MODEL.onnx`` and the description ``MODEL.toml`` in the same folder.

        ModelError if one of them is missing or damaged, or they do not match.
        """
        if not path.is_file():
            raise ModelError(f"{path}: no such file; expected an ONNX file")
        self.path = path
        self.description = read_description(path.with_suffix(".toml"))
        self.name = self.description.name
        self.quantities: tuple[Quantity, ...] = (self.description.quantity,)
        self._session = open_session(path, "cpu", threads)
        inputs = self._session.get_inputs()
        outputs = [node.name for node in self._session.get_outputs()]
        if len(inputs) != 1 or inputs[0].type not in ("tensor(float)", "tensor(float16)"):
            found = [(node.name, node.type) for node in inputs]
            raise ModelError(f"{path}: inputs {found}; expected one image of floats")
        wanted = self.description.output
        if (wanted is None and len(outputs) != 1) or (wanted is not None and wanted not in outputs):
            raise ModelError(f"{path}: outputs {', '.join(outputs)}; name one of them as `output` in {path.stem}.toml")
        self._input, self._output = inputs[0], wanted or outputs[0]

    def infer(self, photo: UInt8Array, /) -> Estimate:
        """Estimate the map at the photo's size; ModelError if the graph cannot run on it or gives no map."""
        spec = self.description
        height, width = photo.shape[:2]
        h, w = self._network_size(height, width)
        image = photo
        if (h, w) != (height, width):
            image = np.asarray(Image.fromarray(photo).resize((w, h), Image.Resampling.BICUBIC, reducing_gap=3.0))
        padded = np.pad(image, ((0, -h % spec.multiple), (0, -w % spec.multiple), (0, 0)), mode="symmetric")
        if spec.channels == "bgr":
            padded = padded[..., ::-1]
        mean, std = np.array(spec.mean, dtype=np.float32), np.array(spec.std, dtype=np.float32)
        scaled = (padded.astype(np.float32) / np.float32(255) - mean) / std
        tensor = scaled[None] if spec.layout == "nhwc" else scaled.transpose(2, 0, 1)[None]
        kind = np.float16 if self._input.type == "tensor(float16)" else np.float32
        try:
            (output,) = self._session.run([self._output], {self._input.name: np.ascontiguousarray(tensor, dtype=kind)})
        except Exception as error:
            raise ModelError(f"{self.path}: cannot run on an input {tensor.shape} ({error})") from error
        values = np.asarray(output, dtype=np.float32)
        # remove the batch and channel axes, wherever they are
        values = values.reshape([size for size in values.shape if size != 1])
        if values.ndim != 2:
            raise ModelError(f"{self.path}: {self._output} has shape {np.shape(output)}; expected one map")
        # the output may have a lower resolution than the input
        down, across = padded.shape[0] / values.shape[0], padded.shape[1] / values.shape[1]
        box = (0.0, 0.0, w / across, h / down)
        picture = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR, box=box)
        estimate: Float32Array = np.array(picture, dtype=np.float32)
        if spec.quantity in ("defocus_px", "sigma_px", "dmenet_sigma"):
            # a length in pixels of the input; of a normalised sigma, a clipped value remains a lower limit
            estimate *= np.float32(np.sqrt(height * width / (h * w)))
        return estimate_from(spec.quantity, estimate)

    def _network_size(self, height: int, width: int) -> tuple[int, int]:
        if self.description.size is not None:
            return self.description.size
        if self.description.long_side is None:
            return height, width
        scale = min(1.0, self.description.long_side / max(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))
