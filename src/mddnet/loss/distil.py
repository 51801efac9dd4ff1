"""Losses that distil: the network is to say, and to see, what a larger one does (Hinton et al., 2015)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Told(NamedTuple):
    """What a teacher says of a batch, without gradient, and what the network saw of it.

    Attributes:
        sign_logit: (B, 1, H, W) the teacher's log-odds of lying behind the plane of focus.
        teacher_features: (B, C, h, w) the teacher's coarsest features.
        features: (B, C, h, w) the network's, with gradient.
    """

    sign_logit: Tensor
    teacher_features: Tensor
    features: Tensor


def distilled_sign(sign_logit: Tensor, teacher_logit: Tensor) -> Tensor:
    """Cross-entropy of the network's odds with the teacher's, above the teacher's own entropy, per image (B,).

    That is the Kullback-Leibler divergence (Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network",
    2015, section 2, at a temperature of 1): 0 where both say the same.

    Args:
        sign_logit: (B, 1, H, W) log-odds.
        teacher_logit: the same of the teacher.
    """
    odds = torch.sigmoid(teacher_logit)
    cross = F.binary_cross_entropy_with_logits(sign_logit, odds, reduction="none")
    own = F.binary_cross_entropy_with_logits(teacher_logit, odds, reduction="none")
    return (cross - own).flatten(1).mean(dim=1)


def distilled_features(features: Tensor, teacher_features: Tensor) -> Tensor:
    """1 minus the cosine of the angle between both at each position, mean per image (B,): 0 to 2.

    Args:
        features: (B, C, h, w).
        teacher_features: the same of the teacher.
    """
    return (1.0 - F.cosine_similarity(features, teacher_features, dim=1)).flatten(1).mean(dim=1)
