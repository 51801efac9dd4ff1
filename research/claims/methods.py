"""The measured methods: trained networks, and others that are not trained here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from benchmarks.baselines import karaali_jung, pydnet

from mddnet.evaluate.baselines import find_baseline
from mddnet.evaluate.methods import FunctionMethod, Method, Quantity
from mddnet.metrics import Estimate, vertical_position
from mddnet.model.checkpoint import INPUT_LONG_SIDE
from mddnet.model.network import INPUT_MULTIPLE, MDDNet
from mddnet.predict.predictor import network_size
from mddnet.train.validate import enlarged
from mddnet.types import Float32Array, UInt8Array

PRIOR, PYDNET = "vertical-position", "pydnet"
PYDNET_FILE = "pydnet_plus_plus.tflite"
OTHERS: Mapping[str, tuple[str, Callable[[Path], Method]]] = {
    PRIOR: (
        "vertical-position prior",
        lambda peers: FunctionMethod(PRIOR, "inv_depth", lambda photo: vertical_position(*photo.shape[:2])),
    ),
    PYDNET: ("PyDNet++, trained by its authors", lambda peers: pydnet(peers / PYDNET_FILE)),
    "zhuo-sim": ("Zhuo and Sim 2011", lambda peers: find_baseline("zhuo-sim")),
    "karaali-jung": ("Karaali and Jung 2018", lambda peers: karaali_jung()),
}
"""Title of each other method, and how to make it from the folder with the files of networks of others."""


class NetworkMethod:
    """A network as in ``mddnet predict``, before the fusion of its maps: long side of at most 512 px."""

    name = "network"

    def __init__(self, network: MDDNet) -> None:
        self.network = network.eval().to(memory_format=torch.channels_last)
        tasks = network.config.tasks
        self.quantities: tuple[Quantity, ...] = (
            *(("inv_depth",) if tasks != "defocus" else ()),
            *(("defocus_px",) if tasks != "depth" else ()),
        )

    def infer(self, photo: UInt8Array, /) -> Estimate:
        height, width = photo.shape[:2]
        h, w = network_size(height, width, INPUT_LONG_SIDE)
        small = photo if (h, w) == (height, width) else cv2.resize(photo, (w, h), interpolation=cv2.INTER_AREA)
        padded = np.pad(small, ((0, -h % INPUT_MULTIPLE), (0, -w % INPUT_MULTIPLE), (0, 0)), mode="reflect")
        image = torch.from_numpy(padded.transpose(2, 0, 1)[None].astype(np.float32) / 255.0)
        with torch.inference_mode():
            maps = enlarged(self.network(image.contiguous(memory_format=torch.channels_last)), image.shape[2:])
        scale = float(np.sqrt(height * width / (h * w)))

        def at_size(x: torch.Tensor | None, factor: float = 1.0) -> Float32Array | None:
            if x is None:
                return None
            return np.asarray(
                cv2.resize(x[0, 0, :h, :w].numpy() * np.float32(factor), (width, height)), dtype=np.float32
            )

        defocus, sign = at_size(maps.defocus_px, scale), at_size(maps.sign_logit)
        signed = None if defocus is None or sign is None else (np.sign(sign) * defocus).astype(np.float32)
        return Estimate(at_size(maps.inv_depth), defocus, signed)
