"""Images for TensorBoard: crops with predicted and true maps."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mddnet.color_maps import DEPTH_COLOURS, SIGN_COLOURS
from mddnet.data.batch import Batch
from mddnet.loss.lens_law import align_scale_shift
from mddnet.model.network import Maps
from mddnet.scenes.small_pictures import coloured
from mddnet.types import MAP_STRIDE, BoolArray, UInt8Array

CROPS = 4


def figure(batch: Batch, maps: Maps, cap_px: float) -> UInt8Array:
    """The first crops of a batch, a row each: photo; inverse depth, true and predicted; signed CoC, true and predicted.

    The predicted inverse depth is aligned with the truth. Without a predicted sign, CoC is unsigned. Maps that the
    network does not estimate are omitted. The colour scale ends at a CoC of ``cap_px``.

    Returns:
        (rows h, columns w, 3) uint8, sRGB, for maps of (h, w).
    """
    rows = []
    for n in range(min(CROPS, len(batch.image))):
        known = batch.weight[n, 0].cpu().numpy() > 0
        small = F.avg_pool2d(batch.image[n], MAP_STRIDE)
        photo = small.permute(1, 2, 0).cpu().numpy()
        row = [np.clip(photo * 255.0 + 0.5, 0, 255).astype(np.uint8)]
        if maps.inv_depth is not None:
            one = slice(n, n + 1)
            truth, predicted = torch.nan_to_num(batch.inv_depth[one]), maps.inv_depth.detach()[one].float()
            scale, shift = align_scale_shift(predicted, truth, batch.weight[one])
            for values, where in ((truth, known), (scale * predicted + shift, None)):
                row.append(_coloured(values[0, 0], 0.0, 1.0, DEPTH_COLOURS, where))
        if maps.defocus_px is not None:
            signed = maps.defocus_px.detach()[n, 0].float()
            true = torch.nan_to_num(batch.signed_defocus_px[n, 0])
            if maps.sign_logit is None:
                true = true.abs()
            else:
                signed = signed * torch.tanh(maps.sign_logit.detach()[n, 0].float())
            for values, where in ((true, known), (signed, None)):
                # square root, so that small blur is visible
                root = values.sign() * (values.abs() / cap_px).sqrt()
                row.append(_coloured(root, -1.0, 1.0, SIGN_COLOURS, where))
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows, axis=0)


def _coloured(values: Tensor, low: float, high: float, table: UInt8Array, where: BoolArray | None) -> UInt8Array:
    shown = values.cpu().numpy().astype(np.float32)
    return coloured(shown if where is None else np.where(where, shown, np.float32(np.nan)), low, high, table)
