"""Whether synthetic cells reveal training cells: copies, distances to nearest cells, and membership of cells and donors.

The sets are cells x features. A ValueError if their features differ, a value is not finite, or a share is out of range.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from activa.arguments import check_integers, check_numbers
from activa.data import as_labels, as_pair, check_columns, subsample


def as_attacked(
    train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, held-out and synthetic cells as finite float64 matrices with the same columns, or a ValueError."""
    train, held_out = as_pair(train, held_out, 1, ("train", "held_out"))
    return train, held_out, as_pair(train, synthetic, 1, ("train", "synthetic"))[1]


def nearest(cells: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Euclidean distance of each cell to the nearest reference cell."""
    return NearestNeighbors(n_neighbors=1).fit(reference).kneighbors(cells)[0].ravel()


def is_copied(distance: float, train: np.ndarray) -> bool:
    """Whether a distance to training cells is zero up to rounding, which is about 1e-7 of their spread."""
    return distance <= 1e-5 * np.sqrt(train.var(axis=0).sum())


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Area under the ROC curve of scores of members against scores of others."""
    is_member = np.repeat([True, False], [len(members), len(others)])
    return float(roc_auc_score(is_member, np.concatenate([members, others])))


def copy_ratio(
    train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike, *, max_cells: int = 10_000, seed: int = 0
) -> float:
    """How close synthetic cells are to training cells, compared with held-out cells.

    The median distance of synthetic cells to their nearest training cell, divided by that of held-out cells (real cells
    that the generator has not seen; a ValueError if half of them are in ``train``), in components fitted to ``train``.
    1 is best; 0 means exact copies; above 1 cells are where no real cells are. (Meehan et al. 2020, arXiv:2004.05675).

    At most ``max_cells`` held-out and synthetic cells are compared with all training cells. The standard error is 1.8 s
    over the root of ``max_cells`` if the distances' standard deviation is s medians.

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
        raise ValueError("half or more of the held-out cells are found in train: give cells that it does not hold.")
    return float(found / expected)


def membership_auc(
    train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike, *, max_cells: int = 10_000, seed: int = 0
) -> float:
    """How well closeness to synthetic cells tells training cells from held-out cells, between 0 and 1.

    The area under the ROC curve of "was in the training set" for the negative distance to the nearest synthetic cell
    (Chen et al. 2020, doi:10.1145/3372297.3417238). 0.5 is best; at 1 all training cells are revealed. Give components
    fitted to equally many training and held-out cells: those fitted only to the training cells spread these wider,
    which moves the figure far from 0.5. The standard error is at most 0.41 over the root of ``max_cells``.

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


def membership_tpr(train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike, *, fpr: float = 0.01) -> float:
    """Share of training cells that closeness to synthetic cells reveals at a low rate of false accusations.

    The attack of :func:`~activa.metrics.membership_auc`, measured by :func:`tpr_at_fpr`: best at ``fpr``.

    Examples
    --------
    >>> train, held_out = np.random.default_rng(0).normal(size=(2, 300, 4))
    >>> membership_tpr(train, held_out, train)
    1.0
    """
    train, held_out, synthetic = as_attacked(train, held_out, synthetic)
    return tpr_at_fpr(-nearest(train, synthetic), -nearest(held_out, synthetic), fpr=fpr)


def tpr_at_fpr(members: ArrayLike, others: ArrayLike, *, fpr: float = 0.01) -> float:
    """Share of members that a score finds while at most a share ``fpr`` of the others is taken for members.

    Unlike the area under the ROC curve, it shows an attack that is sure of only a few cells (Carlini et al. 2022,
    arXiv:2112.03570). Scores are finite, one per cell; higher means "was in the training set". Without information they
    give (k + 1) / (n + 1), about ``fpr``, on average for n others of which k = floor(n ``fpr``) may be accused.

    Examples
    --------
    >>> tpr_at_fpr([5, 4, 1, 0], [3, 2])
    0.5
    """
    check_numbers(above=0, below=1, fpr=fpr)
    members, others = np.asarray(members, dtype=np.float64), np.asarray(others, dtype=np.float64)
    for name, scores in (("members", members), ("others", others)):
        if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
            raise ValueError(f"{name} must be finite scores, one per cell, got shape {scores.shape}.")
    threshold = np.sort(others)[::-1][int(fpr * len(others))]
    return float((members > threshold).mean())


def chance_tpr(n_others: int, fpr: float) -> float:
    """Mean of :func:`tpr_at_fpr` for scores without information."""
    return (int(fpr * n_others) + 1) / (n_others + 1)


def donor_auc(scores: ArrayLike, donors: ArrayLike, members: ArrayLike) -> float:
    """How well scores of cells, averaged over each donor's cells, tell which donors were in the training set.

    The area under the ROC curve over donors: 0.5 is best. A single cell may reveal nothing while a thousand cells of
    one donor reveal everything (Homer et al. 2008, doi:10.1371/journal.pgen.1000167). Each cell has a score (higher
    means "was in"), a donor, and whether it was in the training set, equal for all cells of a donor. With m donors in
    and n out, at least two each, the standard error at 0.5 is about sqrt((m + n + 1) / (12 m n)).

    Examples
    --------
    >>> donor_auc([3, 2, 1, 0], ["a", "b", "c", "d"], [True, True, False, False])
    1.0
    """
    scores = np.asarray(scores, dtype=np.float64)
    donors = as_labels("donors", donors, len(scores))
    members = as_labels("members", members, len(scores)).astype(bool)
    names, donor = np.unique(donors, return_inverse=True)
    n_cells = np.bincount(donor)
    share_in = np.bincount(donor, weights=members) / n_cells
    if split := [str(name) for name in names[(share_in > 0) & (share_in < 1)]]:
        raise ValueError(f"donors {split[:5]} have cells both in the training set and out of it: split cells by donor.")
    is_member = share_in == 1
    if min(n_in := is_member.sum(), n_out := (~is_member).sum()) < 2:
        raise ValueError(f"there are {n_in} donors in the training set and {n_out} out of it; give two.")
    means = np.bincount(donor, weights=scores) / n_cells
    return auc(means[is_member], means[~is_member])


def close_share(train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike, *, quantile: float = 0.05) -> float:
    """Share of synthetic cells closer to a training cell than all but the closest ``quantile`` of held-out cells.

    Unlike :func:`~activa.metrics.copy_ratio`, it shows a few copies among new cells. ``quantile`` is best.

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

    0.5 is best; 1 means that the nearest real cell is always a training cell. A synthetic cell next to a held-out cell
    counts as often as there are training cells per held-out cell; ties count half. Give components that treat both sets
    alike. After Platzer and Reutterer 2021, doi:10.3389/fdata.2021.679939.

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

    Near 0, cells point at one training cell; near 1, none stands out. Compare with the floor. A cell that coincides
    with two training cells counts as 0. Both sets are in components fitted to ``train``. The ratio is that of Lowe
    2004, doi:10.1023/B:VISI.0000029664.99615.94; Zhao et al. 2021, arXiv:2102.08369, use it for privacy.

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
    """Share of synthetic cells whose counts of all genes (cells x genes, dense or sparse) are those of a training cell.

    0 is best, but with few genes or few counts even new real cells coincide with old ones.

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
    # float32 does not tell counts above 2**24 apart
    matrix = csr_matrix(values, dtype=np.float64, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    genes, data = matrix.indices.astype(np.int64), matrix.data
    for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        yield genes[start:end].tobytes() + data[start:end].tobytes()
