"""What attackers learn: how many members scores reveal at few false accusations, and which donors."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from numpy.typing import ArrayLike

from activa.arguments import check_numbers
from activa.data import check_labels, halves, strings
from activa.metrics.arrays import as_attacked, as_labels
from activa.metrics.copying import auc, nearest


def chance_tpr(n_others: int, fpr: float) -> float:
    """Mean of :func:`tpr_at_fpr` for scores without information."""
    return (int(fpr * n_others) + 1) / (n_others + 1)


def tpr_at_fpr(members: ArrayLike, others: ArrayLike, *, fpr: float = 0.01) -> float:
    """Share of members that a score finds while at most a share ``fpr`` of the others is taken for members.

    The area under the ROC curve averages over all cells, so that an attack which is sure of only a few hardly moves it.
    This measures what the attack knows about those few.

    Parameters
    ----------
    members, others
        Scores of cells that were in the training set and of cells that were not; higher means "was in".
    fpr
        Maximum share of the others that is wrongly accused. With fewer than 1 / ``fpr`` others, no cell may be.

    Returns
    -------
    The share of members with a score above the threshold. Scores without information give (k + 1) / (n + 1) on average
    for n others of which k may be accused, which is about ``fpr`` for large n.

    Raises
    ------
    ValueError
        If there are no members or no others, if a score is not finite, or if ``fpr`` is not between 0 and 1.

    References
    ----------
    Carlini et al. 2022, arXiv:2112.03570 (membership inference attacks from first principles).

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


def membership_tpr(train: ArrayLike, held_out: ArrayLike, synthetic: ArrayLike, *, fpr: float = 0.01) -> float:
    """Share of training cells that closeness to synthetic cells reveals at a low rate of false accusations.

    The attack of :func:`~activa.metrics.membership_auc`, measured by :func:`tpr_at_fpr`.

    Parameters
    ----------
    train, held_out, synthetic
        Cells x features, in components that treat training and held-out cells alike.
    fpr
        Maximum share of held-out cells that is wrongly accused.

    Returns
    -------
    The share; about ``fpr`` if the attack learns nothing.

    Raises
    ------
    ValueError
        If the sets differ in features or hold non-finite values, or if ``fpr`` is not between 0 and 1.

    References
    ----------
    Carlini et al. 2022, arXiv:2112.03570; the score is that of Chen et al. 2020, doi:10.1145/3372297.3417238.

    Examples
    --------
    >>> train, held_out = np.random.default_rng(0).normal(size=(2, 300, 4))
    >>> membership_tpr(train, held_out, train)
    1.0
    """
    train, held_out, synthetic = as_attacked(train, held_out, synthetic)
    return tpr_at_fpr(-nearest(train, synthetic), -nearest(held_out, synthetic), fpr=fpr)


def donor_auc(scores: ArrayLike, donors: ArrayLike, members: ArrayLike) -> float:
    """How well scores of cells, averaged over each donor's cells, tell which donors were in the training set.

    A single cell may reveal nothing while a thousand cells of one donor reveal everything.

    Parameters
    ----------
    scores
        Score of each cell; higher means "was in". The distance attack scores by the negative distance to the nearest
        synthetic cell; :func:`shadow_attack` gives other scores.
    donors
        Donor of each cell.
    members
        Whether each cell was in the training set; equal for all cells of a donor.

    Returns
    -------
    The area under the ROC curve over donors: 0.5 is best. With m donors in and n out, it takes only m n + 1 values and
    its standard error at 0.5 is about sqrt((m + n + 1) / (12 m n)), so that few donors tell little.

    Raises
    ------
    ValueError
        If the arrays differ in length, if cells of one donor are on both sides, or if a side has fewer than two donors.

    References
    ----------
    Homer et al. 2008, doi:10.1371/journal.pgen.1000167 (a person's presence in a pool is found from many weak signals).

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
        raise ValueError(
            f"donors {split[:5]} have cells both in the training set and out of it: split train from held-out cells by "
            "donor."
        )
    is_member = share_in == 1
    if min(is_member.sum(), (~is_member).sum()) < 2:
        raise ValueError(
            f"donors: {is_member.sum()} donors in the training set and {(~is_member).sum()} out of it; give at least two "
            "on each side, and at least ten for a meaningful result."
        )
    means = np.bincount(donor, weights=scores) / n_cells
    return auc(means[is_member], means[~is_member])


def split_held_out(
    held_out: AnnData, labels_key: str | None, donor_key: str | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of two halves of the held-out cells, split by donor or by type."""
    donors = strings(held_out, donor_key)
    if donors is None:
        return halves(held_out.n_obs, rng, strings(held_out, labels_key))
    names = np.unique(donors)
    if len(names) < 4:
        raise ValueError(
            f"held_out has {len(names)} donors in {donor_key!r}; without floor its donors are split into two halves of at "
            "least two. Hold out more donors, or leave donor_key out."
        )
    first, second = (np.flatnonzero(np.isin(donors, names[half])) for half in halves(len(names), rng))
    return first, second


def check_donors(sets: dict[str, AnnData], donor_key: str) -> None:
    """Raise the error that :func:`~activa.metrics.privacy.evaluate` documents for donors in two sets or too few donors."""
    donors = {}
    for name, adata in sets.items():
        check_labels(name, adata, donor_key, "donor_key")
        donors[name] = set(adata.obs[donor_key].astype(str))
    for first, second in (("train", "held_out"), ("train", "floor"), ("held_out", "floor")):
        if shared := sorted(donors[first] & donors.get(second, set())):
            raise ValueError(
                f"donors {shared[:5]} have cells both in {first} and in {second}: split by donor, or leave donor_key out."
            )
    for name in ("train", "held_out"):
        if len(donors[name]) < 2:
            raise ValueError(f"{name} has one donor in {donor_key!r}; give at least two, or leave donor_key out.")
