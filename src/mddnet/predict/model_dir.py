"""Model folders: ``config.json`` (input and output of the network), ``model.onnx`` and ``card.md``.

The graph's input is ``image``, float32 (B, 3, H, W), sRGB-encoded in [0, 1], H and W multiples of ``input.multiple``.
Its outputs are (B, 1, H / 4, W / 4): ``inv_depth``, relative, larger is nearer; ``defocus_px`` >= 0, CoC diameter in
pixels of the input; ``sign_logit``, positive behind the plane of focus; and the log scales of the errors of the first
two. ``camera`` is (B, 4): log tangent of half the field of view along the long side, log median depth in metres, and
the log scales of their errors.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

from mddnet.errors import ModelError
from mddnet.io.json_fields import display
from mddnet.model.folder import CARD_FILE, CONFIG_FILE, GRAPH_FILE, model_folder, read_config, remedy
from mddnet.predict.calibration import Calibration, calibration_of
from mddnet.predict.metric_scale import NOT_CALIBRATED, MetricErrors

INPUT_NAME = "image"
MAP_NAMES = ("inv_depth", "inv_depth_log_sigma", "defocus_px", "defocus_log_sigma", "sign_logit")
OUTPUT_NAMES = (*MAP_NAMES, "camera")
MAX_MULTIPLE, MAX_LONG_SIDE = 1024, 32_768
"""Largest accepted values, since they determine the memory of a prediction."""


@dataclass(frozen=True, slots=True)
class ModelDir:
    """A model folder and its configuration."""

    folder: Path
    name: str
    version: str  # such as ``0.1.0+1a2b3c4d``, with the first 8 hex digits of the graph's SHA-256
    long_side: int  # a larger image is downsampled to this long side, pixels
    multiple: int  # height and width of the network's input are multiples of this
    defocus_cap_px: float  # largest CoC diameter of the output, in pixels of the input
    calibration: Calibration | None = None  # of verdicts and expected errors

    @property
    def graph(self) -> Path:
        """The ONNX file."""
        return self.folder / GRAPH_FILE

    @property
    def camera_error(self) -> tuple[float, float]:
        """Factors of the errors of the field of view and of the median depth; 1 without a calibration."""
        return (1.0, 1.0) if self.calibration is None else self.calibration.camera_error

    @property
    def metric_errors(self) -> MetricErrors:
        """What the calibration says of metres; the defaults without one."""
        return NOT_CALIBRATED if self.calibration is None else self.calibration.metres

    @property
    def card(self) -> Path:
        """The model card: training data, licences and measured accuracy; the file may be missing."""
        return self.folder / CARD_FILE


def open_model_dir(reference: str | os.PathLike[str]) -> ModelDir:
    """Find a model by name, folder, .zip or hub id, and read its configuration.

    ModelError if there is no such model, or it is incomplete, damaged or of another format.
    """
    folder = model_folder(reference)
    path = folder / CONFIG_FILE
    config = read_config(folder)
    try:
        model = ModelDir(
            folder=folder,
            name=str(config["name"]),
            version=str(config["version"]),
            long_side=int(config["input"]["long_side"]),
            multiple=int(config["input"]["multiple"]),
            defocus_cap_px=float(config["defocus_cap_px"]),
            calibration=calibration_of(config, path),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(
            f"{path}: {display(error)}; expected the fields of an exported model: export it again"
        ) from error
    sizes = 0 < model.multiple <= min(model.long_side, MAX_MULTIPLE) and model.long_side <= MAX_LONG_SIDE
    if not (sizes and 0 < model.defocus_cap_px < math.inf):
        raise ModelError(
            f"{path}: input {display(config['input'])}, defocus_cap_px {model.defocus_cap_px}; expected positive "
            f"numbers, multiple to {MAX_MULTIPLE} and long_side from that to {MAX_LONG_SIDE}: export the model again"
        )
    if not model.graph.is_file():
        raise ModelError(f"{model.graph}: no such file; {remedy(folder)}")
    # The digest distinguishes models of one version with different weights.
    with model.graph.open("rb") as stream:
        weights = hashlib.file_digest(stream, "sha256").hexdigest()[:8]
    return replace(model, version=f"{model.version}+{weights}")
