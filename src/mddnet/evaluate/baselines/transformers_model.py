"""Learned depth networks of the package ``transformers``, with local weights.

Depth Anything (Yang et al., CVPR 2024 and NeurIPS 2024), DPT (Ranftl et al., ICCV 2021), GLPN (Kim et al., 2022) and
Depth Pro (Bochkovskii et al., arXiv:2410.02073). Nothing is downloaded; use ``hf download NAME --local-dir FOLDER``.
Needs the extra ``baselines``. OMP_NUM_THREADS sets the number of cores.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mddnet.errors import ModelError
from mddnet.evaluate.methods import Quantity, estimate_from, require_packages
from mddnet.metrics import Estimate
from mddnet.types import UInt8Array

MODEL_TYPES: dict[str, Quantity | None] = {
    "depth_anything": None,
    "dpt": "inv_depth",
    "glpn": "depth_m",
    "depth_pro": "depth_m",
    "zoedepth": "depth_m",
}
"""By ``model_type`` of ``config.json``; None: ``depth_estimation_type`` decides between inverse depth and metres."""


def is_transformers_model(path: Path) -> bool:
    """Whether a folder has a transformers model: a ``config.json`` with ``model_type``."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and "model_type" in config


def is_hub_name(name: str) -> bool:
    """Whether a name has the form of a hub name, such as ``Intel/dpt-hybrid-midas``, and is not a path."""
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None and not Path(name).exists()


class TransformersModel:
    """A depth network of transformers; its configuration determines whether it estimates inverse depth or metres."""

    def __init__(self, source: str, download: bool = False) -> None:
        """Load image processor and safetensors from a folder, or by a name in the local cache of the hub.

        With ``download``, files that the cache lacks are fetched from the hub.

        ModelError if the package, the weights or one of their files is missing, or the type is unknown.
        """
        require_packages(source, "baselines", "transformers")
        import transformers

        transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self.name = Path(source).name
        local: dict[str, Any] = {"local_files_only": not download}
        try:
            config = transformers.AutoConfig.from_pretrained(source, **local)
        except Exception as error:
            # the package raises exceptions of many libraries
            hint = f"give the folder of `hf download {source} --local-dir FOLDER`"
            raise ModelError(f"{source}: no local transformers model ({_first_line(error)}); {hint}") from error
        kind = getattr(config, "model_type", None)
        if kind not in MODEL_TYPES:
            raise ModelError(f"{source}: a network of type {kind}; expected one of {', '.join(MODEL_TYPES)}")
        in_metres = getattr(config, "depth_estimation_type", "relative") == "metric"
        self.quantities: tuple[Quantity, ...] = (MODEL_TYPES[kind] or ("depth_m" if in_metres else "inv_depth"),)
        try:
            self._processor = transformers.AutoImageProcessor.from_pretrained(source, **local)  # type: ignore[no-untyped-call]
            network = transformers.AutoModelForDepthEstimation
            self._model = network.from_pretrained(source, use_safetensors=True, **local)
        except Exception as error:
            raise ModelError(
                f"{source}: not a complete depth network ({_first_line(error)}); expected config.json, "
                "preprocessor_config.json and model.safetensors, and the packages torch and torchvision"
            ) from error
        self._model.eval().requires_grad_(False)

    def infer(self, photo: UInt8Array, /) -> Estimate:
        """Estimate the map at the photo's size; ModelError if the network cannot run on it."""
        height, width = photo.shape[:2]
        try:
            inputs = self._processor(images=Image.fromarray(photo), return_tensors="pt")
            outputs = self._model(**inputs)
            found = self._processor.post_process_depth_estimation(outputs, target_sizes=[(height, width)])
            values = np.asarray(found[0]["predicted_depth"].float().numpy(), dtype=np.float32)
        except Exception as error:
            raise ModelError(f"{self.name}: cannot run on {width} x {height} pixels ({_first_line(error)})") from error
        return estimate_from(self.quantities[0], values.reshape(values.shape[-2:]))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
