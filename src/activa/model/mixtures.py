"""Mixtures of Gaussians and a classifier fitted to latents, and the cells that they are fitted to."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from torch import Tensor

_MIN_PER_TYPE = 30
_CELLS_PER_COMPONENT = 10
_ABSENT = -20.0  # logit of a label without cells


def choose_cells(y: np.ndarray, rng: np.random.Generator, n_cells: int) -> np.ndarray:
    """About ``n_cells`` cells in their order: the same share of every label, but at least 30 cells or all."""
    share = min(1.0, n_cells / len(y))
    chosen = []
    for label in np.unique(y):
        cells = np.flatnonzero(y == label)
        n = min(len(cells), max(_MIN_PER_TYPE, int(np.ceil(share * len(cells)))))
        chosen.append(rng.permutation(cells)[:n])
    return np.sort(np.concatenate(chosen))


def fit_mixtures(
    z: np.ndarray, y: np.ndarray, n_labels: int, n_components: int, rng: np.random.Generator, *, draws: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """Gaussian mixtures with diagonal covariance of the latents of each label; N(0, I) for a label without cells.

    Latents ``z`` are ``(n_cells * draws, n_latent)``. At most one Gaussian per ten cells is fitted; the others repeat.
    Returns means and standard deviations ``(n_labels, n_components, n_latent)`` and weights ``(n_labels, n_components)``.
    """
    shape = (n_labels, n_components, z.shape[1])
    loc, scale, weight = np.zeros(shape), np.ones(shape), np.full(shape[:2], 1 / n_components)
    for label in np.unique(y):
        own = z[y == label]
        n_cells = len(own) // draws
        n_fitted = max(1, min(n_components, n_cells // _CELLS_PER_COMPONENT))
        if n_fitted == 1:
            # few cells do not show their variance: it is shrunk towards 1, that of all cells
            variance = (n_cells * own.var(axis=0, keepdims=True) + 2.0) / (n_cells + 2.0)
            mean, share = own.mean(axis=0, keepdims=True), np.ones(1)
        else:
            state = int(rng.integers(2**31))
            fit = GaussianMixture(n_fitted, covariance_type="diag", reg_covar=0.01, random_state=state).fit(own)
            mean, variance, share = fit.means_, fit.covariances_, fit.weights_
        source = np.arange(n_components) % n_fitted
        loc[label], scale[label] = mean[source], np.sqrt(variance)[source]
        weight[label] = share[source] / np.bincount(source)[source]
    loc_, scale_, weight_ = (torch.as_tensor(array).float() for array in (loc, scale, weight))
    return loc_, scale_, weight_


def recognize_types(z: np.ndarray, y: np.ndarray, n_labels: int) -> tuple[Tensor, Tensor]:
    """Logistic regression of labels on latents: weights ``(n_labels, n_latent)`` and biases of the logits."""
    weight, bias = torch.zeros(n_labels, z.shape[1]), torch.full((n_labels,), _ABSENT)
    present = np.unique(y)
    if len(present) == 1:
        bias[present] = 0.0
        return weight, bias
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")  # many rare types
        fit = LogisticRegression(max_iter=1_000).fit(z, y)
    logits = np.column_stack([fit.coef_, fit.intercept_])
    if len(present) == 2:  # scikit-learn returns the logit of the second label only
        logits = np.concatenate([-logits, logits]) / 2
    weight[present], bias[present] = torch.as_tensor(logits[:, :-1]).float(), torch.as_tensor(logits[:, -1]).float()
    return weight, bias
