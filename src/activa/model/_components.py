"""Where training starts: principal components of the cells, and each type's place among them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from torch import Tensor

from activa.model._offsets import count_offsets, mean_offsets
from activa.module import ComponentsStart

_MAX_CELLS, _MIN_PER_TYPE, _N_GENES = 5_000, 30, 2_000
# A part of a cell's score is noise, which the latent does not take up
_LOADING = 0.5
# Of the regression on the scores, which have variance 1, and less within types
_RIDGE = 0.1
_CELLS_PER_COMPONENT = 10
_ABSENT = -20.0  # the logit of a label without cells


def principal_components(
    x: Any,
    y: np.ndarray,
    *,
    n_latent: int,
    n_labels: int,
    n_components: int,
    with_offsets: bool,
    counts: bool,
    seed: int,
    n_cells: int | None = None,
    proteins: np.ndarray | None = None,
    batch: np.ndarray | None = None,
    n_batch: int = 1,
) -> ComponentsStart:
    """Principal components of log-normalized cells, and mixtures of Gaussians fitted to each type's scores.

    They are of the 2,000 genes of largest variance in at most 5,000 cells (more with many types: 30 of each, where
    there are as many). Loadings of all genes follow by regression, within types where offsets say what differs between
    them: were it said by both, offsets would not follow when training shrinks the loadings.

    Parameters
    ----------
    x
        Cells x genes, sparse, dense or backed.
    y
        Label codes, ``(n_cells,)``.
    n_latent, n_labels, n_components
        Latent dimensions, labels, and Gaussians a label in the prior.
    with_offsets
        Whether each type has an expression of its own beside the loadings.
    counts
        Whether values are counts, to be log-normalized.
    seed
        Of the cells chosen, the components and the mixtures.
    n_cells
        Cells that are trained on, where these are a sample of them.
    proteins
        Standardized proteins, ``(n_cells, n_proteins)``, each a further column beside the genes; None without.
    batch, n_batch
        Batch codes, ``(n_cells,)``, and how many there are, which have offsets of their own for the genes. None is one batch.
    """
    batch = np.zeros(len(y), dtype=int) if batch is None else batch.astype(int)
    y = y.astype(int)
    n_cells = len(y) if n_cells is None else n_cells
    rng = np.random.default_rng(seed)
    cells = choose_cells(y, rng, _MAX_CELLS)
    a = csr_matrix(x[cells], dtype=np.float64)
    counts_of = np.asarray(a.sum(axis=0)).ravel() * n_cells / len(cells)
    if counts:
        a = csr_matrix(diags(1e4 / np.asarray(a.sum(axis=1)).ravel()) @ a).log1p()
    n_genes = a.shape[1]
    if proteins is not None:
        a = hstack([a, csr_matrix(proteins[cells], dtype=np.float64)], format="csr")
    mean = np.asarray(a.mean(axis=0)).ravel()
    variance = np.asarray(a.multiply(a).mean(axis=0)).ravel() - mean**2
    genes = np.sort(np.argsort(-variance[:n_genes], kind="stable")[:_N_GENES])
    genes = np.concatenate([genes, np.arange(n_genes, a.shape[1])])
    n_found = min(n_latent, len(cells) - 1, len(genes))
    projection = np.zeros((n_latent, a.shape[1]))
    if n_found:
        with np.errstate(invalid="ignore", divide="ignore"):  # shares of a variance of 0, which are not used
            pca = PCA(n_found, random_state=seed).fit(a[:, genes].toarray())
        projection[:n_found, genes] = pca.components_ / np.sqrt(np.maximum(pca.explained_variance_, 1e-6))[:, None]
    scores = a @ projection.T - projection @ mean
    if counts:
        gene_offsets, batch_offsets = count_offsets(x, y, batch, n_labels, n_batch)
    else:
        gene_offsets, batch_offsets = mean_offsets(a[:, :n_genes], y[cells], batch[cells], n_labels, n_batch)
    offsets, label_means = None, np.zeros((n_labels, n_latent))
    if with_offsets:
        offsets = np.zeros((n_labels, a.shape[1]))
        for label in np.unique(y):
            own = y[cells] == label
            label_means[label] = scores[own].mean(axis=0)
            offsets[label, n_genes:] = np.asarray(a[own, n_genes:].mean(axis=0)).ravel() - mean[n_genes:]
        offsets[:, :n_genes] = gene_offsets
    within = scores - label_means[y[cells]]
    loadings = np.linalg.solve(within.T @ within / len(cells) + _RIDGE * np.eye(n_latent), within.T @ a / len(cells)).T
    # as far as the counts tell them: a loading's standard error is 1 / sqrt(counts), its prior's is taken to be 0.1
    loadings *= _LOADING
    loadings[:n_genes] *= (counts_of / (counts_of + 100.0))[:, None]

    center, projection_, loadings_, batch_offsets_, means = (
        torch.as_tensor(array).float() for array in (mean, projection, loadings, batch_offsets, label_means)
    )
    offsets_ = None if offsets is None else torch.as_tensor(offsets).float()
    mixtures = fit_mixtures(scores, y[cells], n_labels, n_components, rng)
    gate = _recognize(scores, y[cells], n_labels)
    return ComponentsStart(
        center, projection_, loadings_, offsets_, batch_offsets_, means, *mixtures, *gate, n_cells=n_cells
    )


def choose_cells(y: np.ndarray, rng: np.random.Generator, n_cells: int) -> np.ndarray:
    """About ``n_cells`` cells, in their order: the same share of every label, and all of a rare one."""
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
    """Gaussian mixtures with diagonal covariance of each label's latents; N(0, I) for a label without cells.

    Parameters
    ----------
    z
        Latents, ``(n_cells * draws, n_latent)``.
    y
        Label codes, ``(n_cells * draws,)``.
    n_labels, n_components
        Labels, and Gaussians a label; one for every ten cells at most, the others repeat them.
    rng
        Of the fits.
    draws
        Latents a cell.

    Returns
    -------
    Means and standard deviations ``(n_labels, n_components, n_latent)``, weights ``(n_labels, n_components)``.
    """
    shape = (n_labels, n_components, z.shape[1])
    loc, scale, weight = np.zeros(shape), np.ones(shape), np.full(shape[:2], 1 / n_components)
    for label in np.unique(y):
        own = z[y == label]
        n_cells = len(own) // draws
        n_fitted = max(1, min(n_components, n_cells // _CELLS_PER_COMPONENT))
        if n_fitted == 1:
            # too few to tell their spread by: held near 1, that of all cells
            variance = (n_cells * own.var(axis=0, keepdims=True) + 2.0) / (n_cells + 2.0)
            mean, share = own.mean(axis=0, keepdims=True), np.ones(1)
        else:
            state = int(rng.integers(2**31))
            fit = GaussianMixture(n_fitted, covariance_type="diag", reg_covar=0.01, random_state=state).fit(own)
            mean, variance, share = fit.means_, fit.covariances_, fit.weights_
        of = np.arange(n_components) % n_fitted
        loc[label], scale[label] = mean[of], np.sqrt(variance)[of]
        weight[label] = share[of] / np.bincount(of)[of]
    loc_, scale_, weight_ = (torch.as_tensor(array).float() for array in (loc, scale, weight))
    return loc_, scale_, weight_


def _recognize(z: np.ndarray, y: np.ndarray, n_labels: int) -> tuple[Tensor, Tensor]:
    """Weights ``(n_labels, n_latent)`` and biases of the logits of labels, by logistic regression on latents."""
    weight, bias = torch.zeros(n_labels, z.shape[1]), torch.full((n_labels,), _ABSENT)
    present = np.unique(y)
    if len(present) == 1:
        bias[present] = 0.0
        return weight, bias
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")  # many rare types
        fit = LogisticRegression(max_iter=1_000).fit(z, y)
    logits = np.column_stack([fit.coef_, fit.intercept_])
    if len(present) == 2:  # it gives the logit of the second
        logits = np.concatenate([-logits, logits]) / 2
    weight[present], bias[present] = torch.as_tensor(logits[:, :-1]).float(), torch.as_tensor(logits[:, -1]).float()
    return weight, bias
