"""Scales that move a part of the activations' outliers into the weights."""

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[np.floating]]


def outlier_scales(activations: Array, weights: Array, alpha: float) -> Array:
    """The divisor of each channel before a matrix; the matrix's rows are multiplied by it, so the product is the same.

    SmoothQuant (Xiao et al. 2023, arXiv:2211.10438), equation 4: max|X_j| ** alpha / max|W_j| ** (1 - alpha).

    Args:
        activations: (channels,), largest magnitudes of the matrix's inputs.
        weights: (channels,), largest magnitudes of the rows of all matrices that read these inputs.
        alpha: 0 moves all of the difficulty to the activations, 1 to the weights.

    Returns:
        (channels,), above 0; 1 for channels that are always 0 on either side.
    """
    dead = (activations <= 0) | (weights <= 0)
    safe_activations, safe_weights = np.where(dead, 1, activations), np.where(dead, 1, weights)
    scales: Array = safe_activations**alpha / safe_weights ** (1 - alpha)
    return np.where(dead, 1.0, scales)
