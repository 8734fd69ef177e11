"""Whether synthetic cells are too close to training cells: distances to nearest cells, and exact copies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from activa.arguments import check_integers, check_numbers
from activa.data import subsample
from activa.metrics.arrays import as_attacked, as_pair, check_columns


def nearest(cells: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Euclidean distance of each cell to the nearest reference cell."""
    return NearestNeighbors(n_neighbors=1).fit(reference).kneighbors(cells)[0].ravel()


def is_copied(distance: float, train: np.ndarray) -> bool:
    """Whether a distance to training cells is zero up to rounding, which is about 1e-7 of their spread."""
    return distance <= 1e-5 * np.sqrt(train.var(axis=0).sum())


def copy_ratio(
    train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike, *, max_cells: int = 10_000, seed: int = 0
) -> float:
    """How close synthetic cells are to training cells, compared with held-out cells.

    The median distance of synthetic cells to their nearest training cell, divided by that of held-out cells. 1 is best;
    below 1 the generator copies; above 1 its cells are where no real cells are.

    Parameters
    ----------
    train
        Cells x features that the generator was trained on.
    held_out
        Real cells that the generator has not seen.
    synthetic
        Generated cells; :func:`~activa.metrics.evaluate` gives 50 principal components fitted to ``train``.
    max_cells
        Maximum number of held-out and of synthetic cells that are used, each with the nearest of all training cells.
        If the standard deviation of the distances is s medians, the subsampling has a standard error of 1.8 s over the
        root of ``max_cells``, which is below 0.01 for s below 0.5.
    seed
        Random seed for the subsampling.

    Returns
    -------
    The ratio, 0 for exact copies.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values; if half or more of the held-out cells are among the
        training cells; or if ``max_cells`` is below 2.

    References
    ----------
    After the nearest-neighbor tests of Meehan et al. 2020, arXiv:2004.05675 (data copying).

    Examples
    --------
    >>> train, held_out, fresh = np.random.default_rng(0).normal(size=(3, 300, 4))
    >>> copy_ratio(train, held_out, train) < 1e-6 and 0.9 < copy_ratio(train, held_out, fresh) < 1.1
    True
    """
    check_integers(least=2, max_cells=max_cells)
    train, held_out, synthetic = as_attacked(train, held_out, synthetic)
    rng = np.random.default_rng(seed)
    chosen = [cells[subsample(len(cells), max_cells, rng)] for cells in (held_out, synthetic)]
    expected, found = (np.median(nearest(cells, train)) for cells in chosen)
    if is_copied(expected, train):
        raise ValueError(
            "half or more of the held-out cells are found in train: give real cells that the generator has not seen."
        )
    return float(found / expected)


def membership_auc(
    train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike, *, max_cells: int = 10_000, seed: int = 0
) -> float:
    """How well closeness to synthetic cells tells training cells from held-out cells.

    Each real cell is scored by the negative distance to its nearest synthetic cell; the figure is the area under the
    ROC curve of "was in the training set". 0.5 is best: this attack learns nothing. 1 means that the synthetic cells
    reveal which cells were in the training set.

    Parameters
    ----------
    train, held_out, synthetic
        As for :func:`copy_ratio`, but in components that treat training and held-out cells alike:
        :func:`~activa.metrics.evaluate` fits them to equally many of both. Components fitted only to the training cells
        spread these wider, which moves the figure far from 0.5 for any generator.
    max_cells
        Maximum number of training and of held-out cells that are scored, each with the nearest of all synthetic cells.
        The subsampling has a standard error of 0.41 over the root of ``max_cells`` (0.004) at 0.5, and less elsewhere.
    seed
        Random seed for the subsampling.

    Returns
    -------
    The area under the curve, between 0 and 1.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values, or if ``max_cells`` is below 2.

    References
    ----------
    Chen et al. 2020, doi:10.1145/3372297.3417238 (GAN-Leaks), the full black-box attack.

    Examples
    --------
    >>> train, held_out = np.random.default_rng(0).normal(size=(2, 300, 4))
    >>> membership_auc(train, held_out, train)
    1.0
    """
    check_integers(least=2, max_cells=max_cells)
    train, held_out, synthetic = as_attacked(train, held_out, synthetic)
    rng = np.random.default_rng(seed)
    return auc(*(-nearest(x[subsample(len(x), max_cells, rng)], synthetic) for x in (train, held_out)))


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Area under the ROC curve of scores of members against scores of others."""
    is_member = np.repeat([True, False], [len(members), len(others)])
    return float(roc_auc_score(is_member, np.concatenate([members, others])))


def close_share(train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike, *, quantile: float = 0.05) -> float:
    """Share of synthetic cells closer to a training cell than all but the closest 5% of held-out cells.

    Unlike the median in :func:`~activa.metrics.copy_ratio`, it shows a few copies among many new cells.

    Parameters
    ----------
    train, held_out, synthetic
        Cells x features, in components fitted to ``train``.
    quantile
        Share of the held-out cells that are closer than the limit, which is also the best value.
        :class:`~activa.metrics.privacy.TooClose` refuses cells by the same limit.

    Returns
    -------
    The share; ``quantile`` is best, above it some cells are copies.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values, or if ``quantile`` is not between 0 and 1.

    Examples
    --------
    >>> train, held_out = np.random.default_rng(0).normal(size=(2, 300, 4))
    >>> close_share(train, held_out, train)
    1.0
    """
    check_numbers(above=0, below=1, quantile=quantile)
    train, held_out, synthetic = as_attacked(train, held_out, synthetic)
    return float((nearest(synthetic, train) < np.quantile(nearest(held_out, train), quantile)).mean())


def dcr_share(train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike) -> float:
    """Share of synthetic cells that are nearer to a training cell than to any held-out cell, for sets of equal weight.

    0.5 is best; 1 means that the nearest real cell is always a training cell. If the sets differ in size, each synthetic
    cell next to a held-out cell counts as often as there are training cells per held-out cell, so that 0.5 remains best
    without leaving out training cells. Ties count half for each set.

    Parameters
    ----------
    train, held_out, synthetic
        Cells x features, in components that treat training and held-out cells alike.

    Returns
    -------
    The share, between 0 and 1.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values.

    References
    ----------
    After Platzer and Reutterer 2021, doi:10.3389/fdata.2021.679939 (distance to the closest record, with a holdout).

    Examples
    --------
    >>> train, held_out = np.random.default_rng(0).normal(size=(2, 300, 4))
    >>> dcr_share(train, held_out, train)
    1.0
    """
    train, held_out, synthetic = as_attacked(train, held_out, synthetic)
    to_train, to_held_out = nearest(synthetic, train), nearest(synthetic, held_out)
    by_train = (to_train < to_held_out).mean() + (to_train == to_held_out).mean() / 2
    by_held_out = (1 - by_train) * len(train) / len(held_out)
    return float(by_train / (by_train + by_held_out))


def nndr(train: ArrayLike, synthetic: ArrayLike) -> float:
    """Median ratio of the distances of synthetic cells to their nearest and second nearest training cell.

    Near 0, cells point at one training cell; near 1, no training cell stands out. Compare with held-out cells in place
    of the synthetic ones.

    Parameters
    ----------
    train, synthetic
        Cells x features, in components fitted to ``train``.

    Returns
    -------
    The median over synthetic cells, between 0 and 1; a cell that coincides with two training cells counts as 0.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values, or if there are fewer than two training cells.

    References
    ----------
    Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94 (the ratio); Zhao et al. 2021, arXiv:2102.08369 (CTAB-GAN, as a
    measure of privacy).

    Examples
    --------
    >>> round(nndr([[0.0], [4.0]], [[1.0]]), 2)
    0.33
    """
    as_pair(train, train, names=("train", "train"))
    train, synthetic = as_pair(train, synthetic, 1, ("train", "synthetic"))
    first, second = NearestNeighbors(n_neighbors=2).fit(train).kneighbors(synthetic)[0].T
    return float(np.median(np.divide(first, second, out=np.zeros_like(first), where=second > 0)))


def exact_copies(train: Any, synthetic: Any) -> float:
    """Share of synthetic cells whose values in all genes are those of a training cell.

    Parameters
    ----------
    train, synthetic
        Cells x genes of counts, dense or sparse.

    Returns
    -------
    The share. 0 is best, but with few genes or few counts even new real cells coincide with old ones.

    Raises
    ------
    ValueError
        If the sets differ in the number of genes, or if there are no synthetic cells.

    Examples
    --------
    >>> exact_copies([[1, 0], [0, 2]], [[0, 2], [1, 1]])
    0.5
    """
    train, synthetic = csr_matrix(train), csr_matrix(synthetic)
    check_columns(train, synthetic, "genes", ("train", "synthetic"))
    if not synthetic.shape[0]:
        raise ValueError("synthetic has no cells; give at least one.")
    known = set(_cell_bytes(train))
    return float(np.mean([cell in known for cell in _cell_bytes(synthetic)]))


def _cell_bytes(values: csr_matrix) -> Iterator[bytes]:
    """The nonzero values of each cell and their genes, as bytes."""
    matrix = csr_matrix(values, dtype=np.float32, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    genes, data = matrix.indices.astype(np.int64), matrix.data
    for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        yield genes[start:end].tobytes() + data[start:end].tobytes()
