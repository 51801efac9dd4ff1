"""Logistic regression with a ridge, and the ways to choose its threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fit_logistic(features: Array, positive: NDArray[np.bool_], weight: Array, ridge: float = 1.0) -> Array:
    """Weights of (N, F) features and the constant, (F + 1,), for the features as they are.

    The ridge acts on standardised features, as so many observations with a weight of 1; the constant is free.
    """
    mean = np.average(features, axis=0, weights=weight)
    scale = np.sqrt(np.average(np.square(features - mean), axis=0, weights=weight)) + 1e-9
    x = np.column_stack([(features - mean) / scale, np.ones(len(features))])
    penalty = np.append(np.full(features.shape[1], ridge), 1e-6)
    solution = np.zeros(x.shape[1])
    for _ in range(60):
        probability = 1.0 / (1.0 + np.exp(-np.clip(x @ solution, -30, 30)))
        gradient = x.T @ (weight * (probability - positive)) + penalty * solution
        curvature = (x * (weight * probability * (1 - probability))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        solution -= step
        if np.abs(step).max() < 1e-9:
            break
    weights = solution[:-1] / scale
    return np.append(weights, solution[-1] - mean @ weights)
