"""Filling gaps of maps from surrounding pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mddnet.types import BoolArray, Float32Array


def nearest_filled(values: Float32Array) -> Float32Array:
    """(H, W) with NaN replaced by the nearest known value; all 0 if nothing is known."""
    known = np.isfinite(values)
    if known.all():
        return values
    if not known.any():
        return np.zeros_like(values)
    unknown = (~known).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_label = np.zeros(labels.max() + 1, np.float32)
    of_label[labels[known]] = values[known]
    return np.where(known, values, of_label[labels])


def nearest_along_axes(known: BoolArray) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Row and column of the nearest known pixel to the left, right, above and below; -1 if there is none."""
    height, width = known.shape
    rows, columns = np.mgrid[:height, :width]
    left = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    right = np.maximum.accumulate(np.where(known[:, ::-1], columns, -1), axis=1)[:, ::-1]
    right = np.where(right >= 0, width - 1 - right, -1)
    top = np.maximum.accumulate(np.where(known, rows, -1), axis=0)
    bottom = np.maximum.accumulate(np.where(known[::-1], rows, -1), axis=0)[::-1]
    bottom = np.where(bottom >= 0, height - 1 - bottom, -1)
    return [(rows, left), (rows, right), (top, columns), (bottom, columns)]


def fill_from_behind(disparity: Float32Array) -> Float32Array:
    """Fill gaps with the farthest of the nearest known values to the left, right, above and below."""
    known = np.isfinite(disparity)
    if known.all():
        return disparity
    if not known.any():
        raise ValueError("a disparity map without a single known value cannot be filled")
    values = [np.where((r >= 0) & (c >= 0), disparity[r, c], np.inf) for r, c in nearest_along_axes(known)]
    farthest = np.min(values, axis=0)
    farthest[~np.isfinite(farthest)] = np.nanmin(disparity)
    return np.where(known, disparity, farthest).astype(np.float32)
