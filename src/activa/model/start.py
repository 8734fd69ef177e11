"""Where training starts: moments of the genes, principal components of the cells, and each type's place among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.decomposition import PCA
from torch import Tensor

from activa.checks import row_slices
from activa.model.mixtures import choose_cells, fit_mixtures, recognize_types
from activa.module import ACTIVAModule, ComponentsStart, cell_facts

_MAX_CELLS, _N_GENES = 5_000, 2_000
# Part of a cell's score is noise, which the latent does not take up
_LOADING = 0.5
# Ridge penalty of the regression on scores, whose variance is 1 overall and less within types
_RIDGE = 0.1
# Pseudo-count that shrinks the offset of a type or batch towards the gene's share of all counts
_SHRINKAGE = 3.0
# Types and batches are fitted in turns; one round suffices if every type has the same proportions in all batches
_MAX_ROUNDS, _TOLERANCE = 50, 1e-3
_Fit = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class StartCells:
    """The cells that training starts from."""

    x: Any  # values, cells x genes: sparse, dense or backed
    y: np.ndarray  # label codes, (n_cells,)
    library: np.ndarray  # library sizes, (n_cells,)
    batch: np.ndarray  # batch codes, (n_cells,)
    proteins: np.ndarray | None = None  # values of the proteins, (n_cells, n_proteins)
    covariates: np.ndarray | None = None  # continuous covariates, (n_cells, n_covariates)
    n_cells: int | None = None  # number of training cells if these are a sample of them


def start_from_cells(module: ACTIVAModule, cells: StartCells, *, seed: int) -> None:
    """Set the module's weights from the cells: moments, and for the log-linear architecture principal components."""
    moments = gene_moments(cells.x, cells.library, is_count=module.is_count)
    module.initialize_from_moments(*moments, torch.as_tensor(np.log(cells.library)).float())
    module.library_bounds.copy_(library_bounds(cells, module.n_labels, module.n_batch))
    if cells.covariates is not None:
        module.standardize_covariates(cells.covariates)
    if cells.proteins is not None:
        cells = replace(cells, proteins=module.initialize_proteins(cells.proteins))
    if module.quality is not None:
        chosen = choose_cells(cells.y.astype(int), np.random.default_rng(seed), _MAX_CELLS)
        facts = [
            cell_facts(_float(csr_matrix(cells.x[chosen[part]], dtype=np.float64).toarray()))
            for part in row_slices(len(chosen))
        ]
        module.quality.standardize(torch.cat(facts))
    if module.is_linear:
        module.initialize_from_components(principal_components(cells, module, seed=seed))


def library_bounds(cells: StartCells, n_labels: int, n_batch: int) -> Tensor:
    """Range of the log library sizes of each label in each batch, float32 ``(2, n_labels, n_batch)``.

    The range of n cells, widened by two standard deviations of all cells over the root of n, because few cells show less
    than their type's range; but within the range of all cells, which is that of a label that is not in a batch.
    """
    table = pd.DataFrame({"log": np.log(cells.library), "y": cells.y.astype(int), "batch": cells.batch.astype(int)})
    low, high = table["log"].min(), table["log"].max()
    bounds = np.empty((2, n_labels, n_batch))
    bounds[0], bounds[1] = low, high
    own = table.groupby(["y", "batch"])["log"].agg(["min", "max", "size"])
    reach = 2 * table["log"].std(ddof=0) / np.sqrt(own["size"])
    y, batch = (own.index.get_level_values(level) for level in ("y", "batch"))
    bounds[0, y, batch] = np.maximum(own["min"] - reach, low)
    bounds[1, y, batch] = np.minimum(own["max"] + reach, high)
    return _float(bounds)


def gene_moments(x: Any, library: np.ndarray, *, is_count: bool) -> tuple[Tensor, Tensor]:
    r"""Mean expression and dispersion of each gene, by the method of moments.

    With :math:`\mu_{ig} = l_i p_g`, the inverse dispersion is :math:`\theta_g = \sum_i \mu_{ig}^2 /
    \sum_i ((x_{ig} - \mu_{ig})^2 - \mu_{ig})`, bounded to 3 to 100. Started low it stays low in training, and generated
    cells have too many zeros and too weak correlations (pbmc3k: correlation discrepancy 2.6 instead of 1.7; floor 1.4).

    Returns share p and inverse dispersion, or mean and standard deviation of values that are not counts, float32
    ``(n_genes,)``.
    """
    first, second, weighted = (np.zeros(x.shape[1]) for _ in range(3))
    for part in row_slices(x.shape[0]):
        rows = csr_matrix(x[part], dtype=np.float64)
        first += np.asarray(rows.sum(axis=0)).ravel()
        second += np.asarray(rows.power(2).sum(axis=0)).ravel()
        weighted += rows.T @ library[part]
    if not is_count:
        mean = first / x.shape[0]
        spread = np.sqrt(np.maximum(second / x.shape[0] - mean**2, 1e-4))
        return torch.as_tensor(mean).float(), torch.as_tensor(spread).float()
    share = first / library.sum()
    squares = share**2 * (library**2).sum()
    excess = second - 2 * share * weighted + squares - first
    theta = np.clip(squares / np.maximum(excess, 1e-12), 3.0, 100.0)
    return torch.as_tensor(share).float(), torch.as_tensor(theta).float()


def principal_components(cells: StartCells, module: ACTIVAModule, *, seed: int) -> ComponentsStart:
    """Principal components of log-normalized cells, and mixtures of Gaussians fitted to the scores of each type.

    The components use the 2,000 genes of largest variance in about 5,000 cells (more if many types are rare), and the
    standardized proteins. Loadings of all genes follow by regression, within types if these have offsets: if both
    described the differences between types, offsets would not make up for the loadings that training shrinks.
    """
    n_latent, n_labels, n_batch = module.n_latent, module.n_labels, module.n_batch
    x, y, batch = cells.x, cells.y.astype(int), cells.batch.astype(int)
    n_cells = len(y) if cells.n_cells is None else cells.n_cells
    rng = np.random.default_rng(seed)
    chosen = choose_cells(y, rng, _MAX_CELLS)
    types, n_genes = y[chosen], x.shape[1]
    a, counts = _read(x, cells.proteins, chosen, module.is_count)
    mean, projection = _project(a, n_genes, n_latent, seed)
    scores = a @ projection.T - projection @ mean
    if module.is_count:
        gene_offsets, batch_offsets = count_offsets(x, y, batch, n_labels, n_batch)
    else:
        gene_offsets, batch_offsets = mean_offsets(a[:, :n_genes], types, batch[chosen], n_labels, n_batch)
    offsets, label_means = None, np.zeros((n_labels, n_latent))
    if module.gate is not None:
        offsets = np.zeros((n_labels, a.shape[1]))
        for label in np.unique(y):
            own = types == label
            label_means[label] = scores[own].mean(axis=0)
            offsets[label, n_genes:] = np.asarray(a[own, n_genes:].mean(axis=0)).ravel() - mean[n_genes:]
        offsets[:, :n_genes] = gene_offsets
    loadings = _regress_loadings(a, scores - label_means[types], counts * n_cells / len(chosen))
    loc, scale, weight = fit_mixtures(scores, types, n_labels, module.n_prior_components, rng)
    gate_weight, gate_bias = recognize_types(scores, types, n_labels)
    return ComponentsStart(
        center=_float(mean),
        projection=_float(projection),
        loadings=_float(loadings),
        offsets=None if offsets is None else _float(offsets),
        batch_offsets=_float(batch_offsets),
        label_means=_float(label_means),
        prior_loc=loc,
        prior_scale=scale,
        prior_weight=weight,
        gate_weight=gate_weight,
        gate_bias=gate_bias,
        n_cells=n_cells,
    )


def _read(x: Any, proteins: np.ndarray | None, cells: np.ndarray, is_count: bool) -> tuple[csr_matrix, np.ndarray]:
    """Log-normalized genes and proteins of cells, ``(n_cells, n_genes + n_proteins)``, and totals of the genes."""
    a = csr_matrix(x[cells], dtype=np.float64)
    counts = np.asarray(a.sum(axis=0)).ravel()
    if is_count:
        a = csr_matrix(diags(1e4 / np.asarray(a.sum(axis=1)).ravel()) @ a).log1p()
    if proteins is not None:
        a = hstack([a, csr_matrix(proteins[cells], dtype=np.float64)], format="csr")
    return a, counts


def _project(a: csr_matrix, n_genes: int, n_latent: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of all columns, and projection onto components of unit variance, ``(n_latent, n_columns)``."""
    mean = np.asarray(a.mean(axis=0)).ravel()
    variance = np.asarray(a.multiply(a).mean(axis=0)).ravel() - mean**2
    genes = np.sort(np.argsort(-variance[:n_genes], kind="stable")[:_N_GENES])
    columns = np.concatenate([genes, np.arange(n_genes, a.shape[1])])
    projection = np.zeros((n_latent, a.shape[1]))
    if n_found := min(n_latent, a.shape[0] - 1, len(columns)):
        with np.errstate(invalid="ignore", divide="ignore"):  # explained shares of zero variance, which are not used
            pca = PCA(n_found, random_state=seed).fit(a[:, columns].toarray())
        projection[:n_found, columns] = pca.components_ / np.sqrt(np.maximum(pca.explained_variance_, 1e-6))[:, None]
    return mean, projection


def _regress_loadings(a: csr_matrix, scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Loadings of all columns on scores ``(n_cells, n_latent)``; those of genes with few counts are shrunk."""
    n_cells, n_latent = scores.shape
    loadings = np.linalg.solve(scores.T @ scores / n_cells + _RIDGE * np.eye(n_latent), scores.T @ a / n_cells).T
    loadings *= _LOADING
    # the standard error of a loading is 1 / sqrt(counts); its prior's standard deviation is taken to be 0.1
    loadings[: len(counts)] *= (counts / (counts + 100.0))[:, None]
    return loadings


def _float(array: np.ndarray) -> Tensor:
    return torch.as_tensor(array).float()


def count_offsets(
    x: Any, y: np.ndarray, batch: np.ndarray, n_labels: int, n_batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Main effects of a log-linear model of counts, by iterative proportional fitting (Deming and Stephan 1940).

    The expected counts of a gene in cells of type t and batch b are N_tb p exp(a_t + b_b), with the total count N_tb of
    these cells and the gene's share p of all counts. Returns offsets of the labels ``(n_labels, n_genes)`` and of the
    batches ``(n_batch, n_genes)``; those without cells get zeros.
    """
    type_counts, batch_counts = np.zeros((n_labels, x.shape[1])), np.zeros((n_batch, x.shape[1]))
    totals = np.zeros((n_labels, n_batch))
    for part in row_slices(x.shape[0]):
        rows = csr_matrix(x[part], dtype=np.float64)
        type_counts += (_indicator(y[part], n_labels) @ rows).toarray()
        if n_batch > 1:
            batch_counts += (_indicator(batch[part], n_batch) @ rows).toarray()
        np.add.at(totals, (y[part], batch[part]), np.asarray(rows.sum(axis=1)).ravel())
    counts = type_counts.sum(axis=0)

    def offsets(observed: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.log((observed + _SHRINKAGE) / (weights * counts / counts.sum() + _SHRINKAGE))

    return _in_turns(
        lambda batch_offsets: offsets(type_counts, totals @ np.exp(batch_offsets)),
        lambda label_offsets: offsets(batch_counts, totals.T @ np.exp(label_offsets)),
        np.zeros_like(batch_counts),
    )


def mean_offsets(
    a: csr_matrix, y: np.ndarray, batch: np.ndarray, n_labels: int, n_batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Main effects of types and batches on the mean of real values, by least squares, as :func:`count_offsets`."""
    mean = np.asarray(a.mean(axis=0)).ravel()
    types, batches = _indicator(y, n_labels), _indicator(batch, n_batch)
    type_sums, batch_sums, n_cells = (m.toarray() for m in (types @ a, batches @ a, types @ batches.T))

    def offsets(observed: np.ndarray, n: np.ndarray, others: np.ndarray) -> np.ndarray:
        size = n.sum(axis=1, keepdims=True)
        return np.where(size > 0, (observed - n @ others) / np.maximum(size, 1) - mean, 0.0)

    return _in_turns(
        lambda batch_offsets: offsets(type_sums, n_cells, batch_offsets),
        lambda label_offsets: offsets(batch_sums, n_cells.T, label_offsets),
        np.zeros_like(batch_sums),
    )


def _in_turns(fit_labels: _Fit, fit_batches: _Fit, batch_offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit types and batches to each other until they converge, the types last."""
    label_offsets = fit_labels(batch_offsets)
    for _ in range(_MAX_ROUNDS if len(batch_offsets) > 1 else 0):
        before, batch_offsets = batch_offsets, fit_batches(label_offsets)
        label_offsets = fit_labels(batch_offsets)
        if np.abs(batch_offsets - before).max() < _TOLERANCE:
            break
    return label_offsets, batch_offsets


def _indicator(codes: np.ndarray, n: int) -> csr_matrix:
    """Indicator of the cells with each code, ``(n, n_cells)``."""
    return csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(n, len(codes)))
