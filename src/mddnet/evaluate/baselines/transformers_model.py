"""Learned depth networks of the package ``transformers``, from weights that lie on this machine.

Depth Anything (Yang et al., CVPR 2024 and NeurIPS 2024), DPT (Ranftl et al., ICCV 2021), GLPN (Kim et al., 2022) and
Depth Pro (Bochkovskii et al., arXiv:2410.02073). Nothing is downloaded: ``hf download NAME --local-dir FOLDER`` does.
Needs the extra ``baselines``. The networks use the cores that PyTorch takes (OMP_NUM_THREADS).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mddnet.errors import ModelError
from mddnet.evaluate.methods import Quantity, answer_of, need_packages
from mddnet.metrics import Answer
from mddnet.types import Float32Array, UInt8Array

MODEL_TYPES: dict[str, Quantity | None] = {
    "depth_anything": None,
    "dpt": "inv_depth",
    "glpn": "depth_m",
    "depth_pro": "depth_m",
    "zoedepth": "depth_m",
}
"""By ``model_type`` of ``config.json``; None: ``depth_estimation_type`` there says inverse depth or metres."""
KNOWN_WEIGHTS = {
    "depth-anything": "depth-anything/Depth-Anything-V2-Small-hf",
    "dpt": "Intel/dpt-hybrid-midas",
    "glpn": "vinvino02/glpn-nyu",
    "depth-pro": "apple/DepthPro-hf",
}
"""Names that people try, and the weights that they mean."""
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def is_transformers_model(path: Path) -> bool:
    """Whether a folder holds a model of transformers: its ``config.json`` names a ``model_type``."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and "model_type" in config


def looks_like_hub_name(name: str) -> bool:
    """Whether a name may be that of weights in the local cache of the hub, such as ``Intel/dpt-hybrid-midas``."""
    return _HUB_NAME.fullmatch(name) is not None and not Path(name).exists()


def weights_hint(name: str) -> str:
    """How to get the weights that a well-known name means."""
    weights = KNOWN_WEIGHTS[name]
    return (
        f"{name}: name the folder of its weights; get them with `hf download {weights} --local-dir weights/{name}`, "
        f"then --baseline weights/{name} (or --baseline {weights}, where they lie in the cache of the hub)"
    )


class TransformersModel:
    """A depth network of transformers; its configuration says whether it states inverse depth or metres."""

    def __init__(self, source: str) -> None:
        """Load image processor and weights; the weights must be safetensors.

        Args:
            source: folder of the model, or its name in the local cache of the hub.

        Raises:
            ModelError: if the package, the weights or one of their files is missing, or the network is not of a known
                type.
        """
        need_packages(source, "baselines", "transformers")
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self.name = Path(source).name
        local: dict[str, Any] = {"local_files_only": True}
        try:
            config = transformers.AutoConfig.from_pretrained(source, **local)
        except Exception as error:
            # the package raises whatever its parts do
            raise ModelError(
                f"{source}: no model of transformers on this machine ({_first_line(error)}); get it with "
                f"`hf download {source} --local-dir FOLDER` and name the folder"
            ) from error
        self.quantities: tuple[Quantity, ...] = (_quantity(source, config),)
        try:
            self._processor = transformers.AutoImageProcessor.from_pretrained(source, **local)
            self._model = transformers.AutoModelForDepthEstimation.from_pretrained(
                source, use_safetensors=True, **local
            )
        except Exception as error:
            raise ModelError(
                f"{source}: not a complete depth network ({_first_line(error)}); expected config.json, "
                "preprocessor_config.json and model.safetensors, and the packages torch and torchvision"
            ) from error
        self._model.eval().requires_grad_(False)

    def infer(self, photo: UInt8Array, /) -> Answer:
        """The map at the photo's size, (H, W).

        Raises:
            ModelError: if the network cannot run on the photo.
        """
        height, width = photo.shape[:2]
        try:
            inputs = self._processor(images=Image.fromarray(photo), return_tensors="pt")
            outputs = self._model(**inputs)
            found = self._processor.post_process_depth_estimation(outputs, target_sizes=[(height, width)])
            values = np.asarray(found[0]["predicted_depth"].float().numpy(), dtype=np.float32)
        except Exception as error:
            raise ModelError(f"{self.name}: cannot run on {width} x {height} pixels ({_first_line(error)})") from error
        return answer_of(self.quantities[0], _finite(values.reshape(values.shape[-2:]), self.name))


def _quantity(source: str, config: Any) -> Quantity:
    kind = getattr(config, "model_type", None)
    if kind not in MODEL_TYPES:
        raise ModelError(f"{source}: a network of type {kind}; expected one of {', '.join(MODEL_TYPES)}")
    stated = MODEL_TYPES[kind]
    if stated is not None:
        return stated
    return "depth_m" if getattr(config, "depth_estimation_type", "relative") == "metric" else "inv_depth"


def _finite(values: Float32Array, name: str) -> Float32Array:
    if not np.isfinite(values).all():
        raise ModelError(f"{name}: answered {np.mean(~np.isfinite(values)):.1%} values that are not finite")
    return values


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
