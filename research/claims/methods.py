"""The evaluated methods: trained networks and baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from research.claims.measure import Estimate

from mddnet.data.scene_pool import SceneEntry, ScenePool
from mddnet.evaluate.baselines import zhuo_sim
from mddnet.metrics import SHARPNESS_SCALES, negative_sharpness, vertical_position
from mddnet.model.checkpoint import INPUT_LONG_SIDE
from mddnet.model.network import INPUT_MULTIPLE, MDDNet
from mddnet.optics import diameter_from_sigma, signed_defocus_px
from mddnet.predict.predictor import network_size
from mddnet.train.validate import enlarged
from mddnet.types import Float32Array, UInt8Array
from research.claims import karaali_jung

CLASSICAL = {"zhuo-sim": zhuo_sim.sigma_map, "karaali-jung": karaali_jung.sigma_map}
"""Classical estimates of defocus: sigma of the blur in px, by their name in the tables."""
GRID = 32
"""Rows and columns of a mean map."""


class Network:
    """A trained network as in ``mddnet predict``: long edge of at most 512 px."""

    def __init__(self, network: MDDNet) -> None:
        self.network = network.eval().to(memory_format=torch.channels_last)

    @classmethod
    def of(cls, model: Path) -> Network:
        """Load a model folder."""
        return cls(MDDNet.from_pretrained(model))

    def estimate(self, photo: UInt8Array, /) -> Estimate:
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

        defocus = at_size(maps.defocus_px, scale)
        sign = at_size(maps.sign_logit)
        signed = None if defocus is None or sign is None else (np.sign(sign) * defocus).astype(np.float32)
        return Estimate(at_size(maps.inv_depth), defocus, None, signed)


class MeanMap:
    """The mean map of the training scenes, resized to the photo: a baseline that ignores the photo."""

    def __init__(self, entries: Sequence[SceneEntry], frames_per_scene: int = 4) -> None:
        pool = ScenePool(2**20)
        depths, cocs = [], []
        for entry in entries:
            truth = pool.truth(entry)
            u = truth.inv_depth
            known = np.isfinite(u)
            weight = _shrunk(known.astype(np.float32))
            depths.append((_shrunk(np.where(known, u, 0).astype(np.float32)), weight))
            frames = entry.record.frames
            for frame in frames[:: max(1, len(frames) // frames_per_scene)]:
                u_focus = (frame.u_focus - truth.low) / truth.range
                coc = np.abs(signed_defocus_px(u, u_focus, frame.kappa_px * truth.range)) / max(u.shape)
                cocs.append((_shrunk(np.where(known, coc, 0).astype(np.float32)), weight))
        self._inv_depth, self._coc = _weighted_mean(depths), _weighted_mean(cocs)

    def estimate(self, photo: UInt8Array, /) -> Estimate:
        height, width = photo.shape[:2]
        size = (width, height)
        coc = cv2.resize(self._coc, size) * np.float32(max(size))
        return Estimate(np.asarray(cv2.resize(self._inv_depth, size)), np.asarray(coc, dtype=np.float32))


def _shrunk(values: Float32Array) -> Float32Array:
    return np.asarray(cv2.resize(values, (GRID, GRID), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _weighted_mean(maps: Sequence[tuple[Float32Array, Float32Array]]) -> Float32Array:
    total, weight = sum(values for values, _ in maps), sum(weights for _, weights in maps)
    return np.asarray(total / np.maximum(weight, 1e-6), dtype=np.float32)


class VerticalPosition:
    """The vertical-position prior: lower in the image is nearer."""

    def estimate(self, photo: UInt8Array, /) -> Estimate:
        return Estimate(vertical_position(photo.shape[0], photo.shape[1]))


class Sharpness:
    """Blur score as negative sharpness, with the best smoothing for these photos."""

    def estimate(self, photo: UInt8Array, /) -> Estimate:
        return Estimate(blur_score=negative_sharpness(photo, SHARPNESS_SCALES[2])[0])


class Classical:
    """A classical estimate of defocus, by its name in :data:`CLASSICAL`."""

    def __init__(self, name: str) -> None:
        self._sigma_map = CLASSICAL[name]

    def estimate(self, photo: UInt8Array, /) -> Estimate:
        return Estimate(defocus_px=np.asarray(diameter_from_sigma(self._sigma_map(photo)), dtype=np.float32))


class PyDNet:
    """PyDNet++ (Aleotti et al., "Real-time single image depth perception in the wild with handheld devices", 2021).

    Needs the package ``ai-edge-litert`` and the authors' trained weights. Their output increases with distance; its
    negative is used as affine inverse depth.
    """

    def __init__(self, weights: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._net = Interpreter(model_path=str(weights))
        self._net.allocate_tensors()
        self._input, self._finest = self._net.get_input_details()[0], self._net.get_output_details()[0]

    def estimate(self, photo: UInt8Array, /) -> Estimate:
        _, rows, columns, _ = self._input["shape"]
        image = cv2.resize(photo, (int(columns), int(rows)), interpolation=cv2.INTER_AREA)
        self._net.set_tensor(self._input["index"], image[None].astype(np.float32) / 255.0)
        self._net.invoke()
        found = -self._net.get_tensor(self._finest["index"])[0, ..., 0]
        return Estimate(np.asarray(cv2.resize(found, (photo.shape[1], photo.shape[0])), dtype=np.float32))
