"""Properties of genes and cells that benchmarks of simulators compare, one or two at a time.

The properties are those of SimBench (Cao et al. 2021, doi:10.1038/s41467-021-27130-w), which Crowell et al. 2023
(doi:10.1186/s13059-023-02904-1) and Duo et al. 2024 (doi:10.1186/s13059-024-03290-y) compare too. One property is
compared by :func:`ks_distance`, two by :func:`plane_distance`. All functions of two sets raise a ValueError if the sets
differ in genes; genes without a count in either set change nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from scipy.stats import ks_2samp, wasserstein_distance
from sklearn.utils.sparsefuncs import mean_variance_axis

from activa.data import check_columns, check_sets, read_cells, subsample
from activa.metrics.distances import wasserstein
from activa.metrics.profiles import effective_library_size, stored_counts
from activa.metrics.properties import pearson

type Matrix = np.ndarray | csr_matrix


def ks_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Two-sample Kolmogorov-Smirnov statistic, between 0 (best) and 1; NaN if a sample is empty.

    The largest difference of two cumulative distributions, with which Crowell et al. 2023
    (doi:10.1186/s13059-023-02904-1) compare properties.

    Examples
    --------
    >>> ks_distance([1, 2, 3, 4], [3, 4, 5, 6])
    0.5
    """
    x, y = np.ravel(x), np.ravel(y)
    if min(len(x), len(y)) == 0:
        return float("nan")
    # The exact p-value would take most of the time, and the approximate one divides by 0 for samples of one.
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(ks_2samp(x, y, method="asymp").statistic)


def plane_distance(first: ArrayLike, second: ArrayLike, *, max_points: int = 500) -> float:
    """Distance between two sets of points x 2, in standard deviations; NaN if a set has fewer than two points.

    The exact 2-Wasserstein distance after division of each coordinate by its standard deviation in ``first``. SimBench
    uses a test of kernel densities (Cao et al. 2021, doi:10.1038/s41467-021-27130-w), which no maintained Python package
    offers. Of a set with more points than the other, or than ``max_points``, evenly spaced ones are taken in the order
    of their coordinates: equal sets are at 0, and the order of points means nothing.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [2.0, 2.0]])
    >>> round(plane_distance(points, points + [3, 4]), 6)  # both standard deviations are 1
    5.0
    """
    sets = [np.asarray(points, dtype=np.float64) for points in (first, second)]
    size = min(len(sets[0]), len(sets[1]), max_points)
    if size < 2:
        return float("nan")
    scale = sets[0].std(axis=0)
    scale[scale == 0] = 1
    picked = []
    for points in sets:
        order = np.lexsort(points.T[::-1])
        picked.append(points[order[((np.arange(size) + 0.5) * len(points) / size).astype(int)]] / scale)
    return wasserstein(picked[0], picked[1], max_cells=size)


def gene_facts(counts: Matrix) -> pd.DataFrame:
    """Mean and variance of log2 CPM (that is, of log2(1 + counts per million)), and share of zeros, of each gene.

    These are the properties that SimBench's paper names; its code takes Seurat's dispersion for the variance.

    Examples
    --------
    >>> gene_facts(np.array([[1, 0], [7, 0]])).round(2)
        mean  variance  zeros
    0  19.93       0.0    0.0
    1   0.00       0.0    1.0
    """
    x = stored_counts(counts)
    zeros = 1 - np.bincount(x.indices, minlength=x.shape[1]) / max(x.shape[0], 1)
    totals = np.asarray(x.sum(axis=1)).ravel()
    x.data = np.log1p(x.data * 1e6 / np.repeat(totals, np.diff(x.indptr))) / np.log(2)
    mean, variance = mean_variance_axis(x, axis=0)
    # Sums in another order must not break ties, of which a distance between ranks consists.
    return pd.DataFrame({"mean": mean, "variance": variance, "zeros": zeros}).round(9)


def _facts(real: Matrix, synthetic: Matrix, *columns: str) -> list[np.ndarray]:
    """These facts of the genes that a cell of either set expresses, genes x facts, in real and in synthetic cells."""
    check_columns(real, synthetic, "genes")
    facts = [gene_facts(counts) for counts in (real, synthetic)]
    expressed = (facts[0]["zeros"] < 1) | (facts[1]["zeros"] < 1)
    return [x.loc[expressed, list(columns)].to_numpy() for x in facts]


def gene_mean_distance(real: Matrix, synthetic: Matrix) -> float:
    """:func:`ks_distance` of the mean log2 CPM of genes (:func:`gene_facts`).

    Examples
    --------
    >>> gene_mean_distance(np.array([[5, 5], [5, 5]]), np.array([[9, 1], [9, 1]]))
    0.5
    """
    return ks_distance(*_facts(real, synthetic, "mean"))


def gene_variance_distance(real: Matrix, synthetic: Matrix) -> float:
    """:func:`ks_distance` of the variance of log2 CPM of genes (:func:`gene_facts`).

    Examples
    --------
    >>> gene_variance_distance(np.array([[5, 5], [5, 5]]), np.array([[9, 1], [1, 9]]))
    1.0
    """
    return ks_distance(*_facts(real, synthetic, "variance"))


def gene_zeros_distance(real: Matrix, synthetic: Matrix) -> float:
    """:func:`ks_distance` of the share of zeros of genes.

    Examples
    --------
    >>> gene_zeros_distance(np.array([[5, 5], [5, 5]]), np.array([[9, 0], [9, 1]]))
    0.5
    """
    return ks_distance(*_facts(real, synthetic, "zeros"))


def mean_variance_distance(real: Matrix, synthetic: Matrix) -> float:
    """:func:`plane_distance` of the mean and the variance of log2 CPM of genes (:func:`gene_facts`).

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(3, (50, 20))
    >>> mean_variance_distance(counts, counts[::-1]) < 1e-6
    True
    """
    return plane_distance(*_facts(real, synthetic, "mean", "variance"))


def mean_zeros_distance(real: Matrix, synthetic: Matrix) -> float:
    """:func:`plane_distance` of the mean log2 CPM and the share of zeros of genes (:func:`gene_facts`).

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(3, (50, 20))
    >>> mean_zeros_distance(counts, counts[::-1]) < 1e-6
    True
    """
    return plane_distance(*_facts(real, synthetic, "mean", "zeros"))


def library_zeros_distance(real: Matrix, synthetic: Matrix) -> float:
    """:func:`plane_distance` of log1p of the total count and the share of zeros of cells.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(3, (50, 20))
    >>> library_zeros_distance(counts, counts[::-1])
    0.0
    """
    check_columns(real, synthetic, "genes")
    sets = [stored_counts(counts) for counts in (real, synthetic)]
    return plane_distance(
        *(np.column_stack([np.log1p(x.sum(axis=1)), 1 - np.diff(x.indptr) / x.shape[1]]) for x in sets)
    )


def effective_library_distance(real: Matrix, synthetic: Matrix) -> float:
    """1-Wasserstein distance of log1p of :func:`~activa.metrics.profiles.effective_library_size`.

    In the units of :func:`~activa.metrics.library_size_distance`: 0.1 corresponds to 10% more in every cell.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(5, (100, 500))
    >>> round(effective_library_distance(counts, 2 * counts), 3)  # log 2
    0.693
    """
    check_columns(real, synthetic, "genes")
    return float(wasserstein_distance(*(np.log1p(effective_library_size(x)) for x in (real, synthetic))))


def cell_correlation_distance(real: Matrix, synthetic: Matrix, *, max_cells: int = 300, seed: int = 0) -> float:
    """:func:`ks_distance` of the Pearson correlations between cells; NaN if a set has fewer than two cells.

    Of all pairs among at most ``max_cells`` random cells of log-normalized cells x genes. Compare with the floor.

    Examples
    --------
    >>> tied = np.array([[0.0, 1.0], [0.0, 2.0]])  # one correlation, of 1
    >>> cell_correlation_distance(tied, np.array([[0.0, 1.0], [1.0, 0.0]]))  # one of -1
    1.0
    """
    check_columns(real, synthetic, "genes")
    correlations = []
    for x in map(csr_matrix, (real, synthetic)):
        chosen = x[subsample(x.shape[0], max_cells, np.random.default_rng(seed))].toarray()
        correlations.append(pearson(chosen.T.astype(np.float64))[np.triu_indices(len(chosen), k=1)].round(9))
    return ks_distance(*correlations)


def gene_differences(
    real: AnnData, synthetic: AnnData, *, layer: str | None = None, normalized: bool = False
) -> pd.DataFrame:
    """The genes, those that are reproduced worst first.

    Parameters
    ----------
    real, synthetic, layer, normalized
        As in :func:`activa.metrics.evaluate`, which raises the same errors.

    Returns
    -------
    pandas.DataFrame
        One row per gene: its mean log1p of counts scaled to 10,000 in both sets (``mean_real``, ``mean_synthetic``), the
        share of cells without a count (``zeros_real``, ``zeros_synthetic``), and ``deviation``, the larger of the two
        differences in standard errors (of two means, and of two shares if both sets had one). It grows with the number of
        cells: compare genes of one table.

    Examples
    --------
    >>> gene_differences(held_out, synthetic).head()  # doctest: +SKIP
    """
    sets = {"real": real, "synthetic": synthetic}
    check_sets(sets, labels_key=None, layer=layer)
    facts: dict[str, np.ndarray] = {}
    variance = pooled = 0.0
    for name, cells in read_cells(sets, labels_key=None, layer=layer, normalized=normalized).items():
        x = cells.log_expression.astype(np.float64)
        x.eliminate_zeros()
        facts[f"mean_{name}"], of_gene = mean_variance_axis(x, axis=0)
        facts[f"zeros_{name}"] = 1 - np.bincount(x.indices, minlength=x.shape[1]) / x.shape[0]
        variance = variance + of_gene / max(x.shape[0] - 1, 1)
        pooled = pooled + facts[f"zeros_{name}"] * x.shape[0]
    pooled = pooled / (real.n_obs + synthetic.n_obs)
    errors = {
        "mean": np.sqrt(variance),
        "zeros": np.sqrt(pooled * (1 - pooled) * (1 / real.n_obs + 1 / synthetic.n_obs)),
    }
    differences = []
    for fact, error in errors.items():
        difference = np.abs(facts[f"{fact}_synthetic"] - facts[f"{fact}_real"])
        with np.errstate(divide="ignore", invalid="ignore"):
            differences.append(np.where(difference > 0, difference / error, 0.0))
    columns = ["mean_real", "mean_synthetic", "zeros_real", "zeros_synthetic"]
    table = pd.DataFrame(facts, index=pd.Index(real.var_names, name="gene"))[columns]
    table["deviation"] = np.maximum(*differences)
    return table.sort_values("deviation", ascending=False, kind="stable")
