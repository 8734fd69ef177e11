import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from ._checks import as_pair


def _nearest(cells: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Euclidean distance of each cell to the nearest of others."""
    return NearestNeighbors(n_neighbors=1).fit(among).kneighbors(cells)[0].ravel()


def copy_ratio(train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike) -> float:
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

    Returns
    -------
    The ratio, 0 for plain copies.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values; or if half or more of the held-out cells are found
        among the training cells.

    References
    ----------
    After the nearest-neighbour tests of Meehan et al. 2020, arXiv:2004.05675 (data copying).

    Examples
    --------
    >>> train, held_out, fresh = np.random.default_rng(0).normal(size=(3, 300, 4))
    >>> copy_ratio(train, held_out, train) < 1e-6 and 0.9 < copy_ratio(train, held_out, fresh) < 1.1
    True
    """
    train, held_out = as_pair(train, held_out, min_cells=1)
    _, synthetic = as_pair(train, synthetic, min_cells=1)
    expected = np.median(_nearest(held_out, train))
    # Distances by matrix products are exact to about 1e-7 of the spread.
    if expected <= 1e-5 * np.sqrt(train.var(axis=0).sum()):
        msg = "half or more of the held-out cells are found in train: give real cells that the generator has not seen."
        raise ValueError(msg)
    return float(np.median(_nearest(synthetic, train)) / expected)


def membership_auc(train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike) -> float:
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

    Returns
    -------
    The area under the curve, between 0 and 1.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values.

    References
    ----------
    Chen et al. 2020, doi:10.1145/3372297.3417238 (GAN-Leaks), the full black-box attack.

    Examples
    --------
    >>> train, held_out = np.random.default_rng(0).normal(size=(2, 300, 4))
    >>> membership_auc(train, held_out, train)
    1.0
    """
    train, held_out = as_pair(train, held_out, min_cells=1)
    _, synthetic = as_pair(train, synthetic, min_cells=1)
    distance = np.concatenate([_nearest(train, synthetic), _nearest(held_out, synthetic)])
    return float(roc_auc_score(np.repeat([1, 0], [len(train), len(held_out)]), -distance))
