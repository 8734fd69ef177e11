import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from activa.data import subsample

from ._checks import as_pair, check_max_cells


def nearest(cells: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Euclidean distance of each cell to the nearest of others."""
    return NearestNeighbors(n_neighbors=1).fit(among).kneighbors(cells)[0].ravel()


def nearest_two(cells: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distances of each cell to the nearest and the second nearest of others."""
    first, second = NearestNeighbors(n_neighbors=2).fit(among).kneighbors(cells)[0].T
    return first, second


def _draw(cells: np.ndarray, max_cells: int, rng: np.random.Generator) -> np.ndarray:
    return cells[subsample(len(cells), max_cells, rng)]


def copy_ratio(
    train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike, *, max_cells: int = 10_000, seed: int = 0
) -> float:
    """How close synthetic cells lie to training cells, compared with held-out cells.

    The median distance of synthetic cells to their nearest training cell, over that of held-out cells. 1 is best;
    below 1 the generator copies; above 1 its cells lie where no real ones do.

    Parameters
    ----------
    train
        Cells x features that the generator was trained on.
    held_out
        Real cells that it never saw.
    synthetic
        Cells that it made; :func:`~activa.metrics.evaluate` gives 50 principal components fitted on ``train``.
    max_cells
        Most held-out and most synthetic cells whose distance is taken, each to the nearest of all training cells. With
        s the standard deviation of the distances over their median, the draw's standard error is 1.8 s over the root
        of ``max_cells``, below 0.01 for s below 0.5.
    seed
        Seed of the draw of those cells.

    Returns
    -------
    The ratio, 0 for plain copies.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values; or if half or more of the held-out cells are found
        among the training cells; or if ``max_cells`` is below 2.

    References
    ----------
    After the nearest-neighbor tests of Meehan et al. 2020, arXiv:2004.05675 (data copying).

    Examples
    --------
    >>> train, held_out, fresh = np.random.default_rng(0).normal(size=(3, 300, 4))
    >>> copy_ratio(train, held_out, train) < 1e-6 and 0.9 < copy_ratio(train, held_out, fresh) < 1.1
    True
    """
    check_max_cells(max_cells)
    train, held_out = as_pair(train, held_out, min_cells=1)
    _, synthetic = as_pair(train, synthetic, min_cells=1)
    rng = np.random.default_rng(seed)
    expected = np.median(nearest(_draw(held_out, max_cells, rng), train))
    # Distances by matrix products are exact to about 1e-7 of the spread.
    if expected <= 1e-5 * np.sqrt(train.var(axis=0).sum()):
        msg = "half or more of the held-out cells are found in train: give real cells that the generator has not seen."
        raise ValueError(msg)
    return float(np.median(nearest(_draw(synthetic, max_cells, rng), train)) / expected)


def membership_auc(
    train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike, *, max_cells: int = 10_000, seed: int = 0
) -> float:
    """How well closeness to synthetic cells tells training cells from held-out ones.

    Each real cell's score is the negative distance to its nearest synthetic cell; the figure is the area under the
    ROC curve of "was in the training set". 0.5 is best: nothing can be learnt about who was in the training set this
    way. 1 means that synthetic cells give the training cells away.

    Parameters
    ----------
    train, held_out, synthetic
        As for :func:`copy_ratio`, but in components that treat training and held-out cells alike:
        :func:`~activa.metrics.evaluate` fits them on as many of either. Fitted on the training cells alone, they
        spread these wider and the figure is far from 0.5 for any generator.
    max_cells
        Most training and most held-out cells that are told apart, by the nearest of all synthetic cells. The
        draw's standard error is 0.41 over the root of ``max_cells`` (0.004) at 0.5, and less further from it.
    seed
        Seed of the draw of those cells.

    Returns
    -------
    The area under the curve, between 0 and 1.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values, or ``max_cells`` is below 2.

    References
    ----------
    Chen et al. 2020, doi:10.1145/3372297.3417238 (GAN-Leaks), the full black-box attack.

    Examples
    --------
    >>> train, held_out = np.random.default_rng(0).normal(size=(2, 300, 4))
    >>> membership_auc(train, held_out, train)
    1.0
    """
    check_max_cells(max_cells)
    train, held_out = as_pair(train, held_out, min_cells=1)
    _, synthetic = as_pair(train, synthetic, min_cells=1)
    rng = np.random.default_rng(seed)
    train, held_out = (_draw(cells, max_cells, rng) for cells in (train, held_out))
    distance = np.concatenate([nearest(train, synthetic), nearest(held_out, synthetic)])
    return float(roc_auc_score(np.repeat([1, 0], [len(train), len(held_out)]), -distance))
