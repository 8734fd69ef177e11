import numpy as np
from numpy.typing import ArrayLike

from activa.metrics._checks import as_pair
from activa.metrics._copying import nearest


def chance_tpr(n_others: int, fpr: float) -> float:
    """What :func:`tpr_at_fpr` is on average for scores that know nothing."""
    return (int(fpr * n_others) + 1) / (n_others + 1)


def check_share(name: str, value: float) -> None:
    """Raise a ValueError if it is no share between 0 and 1."""
    if not 0 < value < 1:
        msg = f"{name} must be above 0 and below 1, found {value}."
        raise ValueError(msg)


def tpr_at_fpr(members: ArrayLike, others: ArrayLike, *, fpr: float = 0.01) -> float:
    """Share of members found by a score while at most a share ``fpr`` of the others is taken for members.

    The area under the ROC curve averages over cells; an attack that is sure of a few and knows nothing about the rest
    hardly moves it. This is what it knows about those few.

    Parameters
    ----------
    members, others
        Scores of cells that were in the training set and of cells that were not; higher means "was in".
    fpr
        Share of the others that may be wrongly accused. With fewer than 1 / ``fpr`` others it is none of them.

    Returns
    -------
    The share of members whose score is above that of all others but those. Scores that know nothing give
    (k + 1) / (n + 1) on average for n others of which k may be accused, which is about ``fpr`` for many.

    Raises
    ------
    ValueError
        If there are no members or no others, a score is not finite, or ``fpr`` is not between 0 and 1.

    References
    ----------
    Carlini et al. 2022, arXiv:2112.03570 (membership inference attacks from first principles).

    Examples
    --------
    >>> tpr_at_fpr([5, 4, 1, 0], [3, 2])
    0.5
    """
    check_share("fpr", fpr)
    members, others = np.asarray(members, dtype=np.float64), np.asarray(others, dtype=np.float64)
    for name, scores in (("members", members), ("others", others)):
        if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
            msg = f"{name} must be finite scores, one a cell, found shape {scores.shape}."
            raise ValueError(msg)
    threshold = np.sort(others)[::-1][int(fpr * len(others))]
    return float((members > threshold).mean())


def membership_tpr(train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike, *, fpr: float = 0.01) -> float:
    """Share of training cells that closeness to synthetic cells gives away at a low rate of false accusations.

    The attack of :func:`~activa.metrics.membership_auc`, judged by :func:`tpr_at_fpr`.

    Parameters
    ----------
    train, held_out, synthetic
        Cells x features, in components that treat training and held-out cells alike.
    fpr
        Share of held-out cells that may be wrongly accused.

    Returns
    -------
    The share; about ``fpr`` where nothing can be learnt.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values, or ``fpr`` is not between 0 and 1.

    References
    ----------
    Carlini et al. 2022, arXiv:2112.03570; the score is that of Chen et al. 2020, doi:10.1145/3372297.3417238.

    Examples
    --------
    >>> train, held_out = np.random.default_rng(0).normal(size=(2, 300, 4))
    >>> membership_tpr(train, held_out, train)
    1.0
    """
    check_share("fpr", fpr)
    train, held_out = as_pair(train, held_out, min_cells=1)
    _, synthetic = as_pair(train, synthetic, min_cells=1)
    return tpr_at_fpr(-nearest(train, synthetic), -nearest(held_out, synthetic), fpr=fpr)
