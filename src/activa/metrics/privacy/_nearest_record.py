import numpy as np
from numpy.typing import ArrayLike

from activa.metrics._checks import as_pair
from activa.metrics._copying import nearest, nearest_two

from ._low_fpr import check_share


def dcr_share(train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike) -> float:
    """Share of synthetic cells that are nearer to a training cell than to any held-out one, the two sets weighing alike.

    0.5 is best; 1 means that the nearest real cell is always a training cell. With other numbers of training and
    held-out cells, each synthetic cell by a held-out one counts as many times as there are training cells to a held-out
    one, so that 0.5 stays the best and no training cell has to be left out. A tie counts half for either.

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
    train, held_out = as_pair(train, held_out, min_cells=1)
    _, synthetic = as_pair(train, synthetic, min_cells=1)
    to_train, to_held_out = nearest(synthetic, train), nearest(synthetic, held_out)
    by_train = (to_train < to_held_out).mean() + (to_train == to_held_out).mean() / 2
    by_held_out = (1 - by_train) * len(train) / len(held_out)
    return float(by_train / (by_train + by_held_out))


def nndr(train: ArrayLike, synthetic: ArrayLike) -> float:
    """Median nearest-neighbor distance ratio: of synthetic cells to their nearest training cell and the second one.

    Near 0 a cell points at one training cell; near 1 no training cell stands out. Read it against held-out cells in the
    place of the synthetic ones.

    Parameters
    ----------
    train, synthetic
        Cells x features, in components fitted on ``train``.

    Returns
    -------
    The median over synthetic cells, between 0 and 1; a cell that two training cells coincide with counts as 0.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values, or there are fewer than two training cells.

    References
    ----------
    Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94 (the ratio); Zhao et al. 2021, arXiv:2102.08369 (CTAB-GAN, as a
    measure of privacy).

    Examples
    --------
    >>> nndr([[0.0], [4.0]], [[1.0]]).round(2)
    np.float64(0.33)
    """
    train, synthetic = as_pair(train, synthetic, min_cells=1)
    as_pair(train, train)
    first, second = nearest_two(synthetic, train)
    return np.median(np.divide(first, second, out=np.zeros_like(first), where=second > 0))


def close_share(train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike, *, quantile: float = 0.05) -> float:
    """Share of synthetic cells closer to a training cell than all but the closest 5% of held-out cells are.

    A median (:func:`~activa.metrics.copy_ratio`) hides a few copies among many new cells; these are counted here.

    Parameters
    ----------
    train, held_out, synthetic
        Cells x features, in components fitted on ``train``.
    quantile
        Share of the held-out cells that are closer still: the best value. :class:`TooClose` refuses by the same limit.

    Returns
    -------
    The share; ``quantile`` is best, above it there are copies.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values, or ``quantile`` is not between 0 and 1.

    Examples
    --------
    >>> train, held_out = np.random.default_rng(0).normal(size=(2, 300, 4))
    >>> close_share(train, held_out, train)
    1.0
    """
    check_share("quantile", quantile)
    train, held_out = as_pair(train, held_out, min_cells=1)
    _, synthetic = as_pair(train, synthetic, min_cells=1)
    return float((nearest(synthetic, train) < np.quantile(nearest(held_out, train), quantile)).mean())
