"""Whether a disparity map fits its two photos, to check the readers of real stereo captures by meaning."""

from __future__ import annotations

import numpy as np


def agreement(left: np.ndarray, right: np.ndarray, disparity: np.ndarray) -> float:
    """Correlation of the greys of the left photo with those at x - d in the right one.

    Args:
        left: (H, W) grey levels.
        right: (H, W) grey levels.
        disparity: (H, W) px, NaN where unknown; pixels that leave the right photo do not count.
    """
    rows, columns = np.nonzero(np.isfinite(disparity))
    shifted = np.rint(columns - disparity[rows, columns]).astype(int)
    inside = (shifted >= 0) & (shifted < right.shape[1])
    return float(np.corrcoef(left[rows, columns][inside], right[rows[inside], shifted[inside]])[0, 1])
