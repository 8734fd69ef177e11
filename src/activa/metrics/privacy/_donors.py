import numpy as np
from anndata import AnnData
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

from activa.data import check_labels, halves, strings
from activa.metrics._checks import as_labels


def donor_auc(scores: ArrayLike, donors: ArrayLike, members: ArrayLike) -> float:
    """How well scores of single cells, averaged over a donor's cells, tell which donors were in the training set.

    A cell alone may give nothing away and a thousand cells of one donor together everything.

    Parameters
    ----------
    scores
        Score of each cell; higher means "was in". The distance attack's is the negative distance to the nearest synthetic
        cell, :func:`shadow_attack` gives others.
    donors
        Donor of each cell.
    members
        Whether each cell was in the training set; alike for all cells of a donor.

    Returns
    -------
    The area under the ROC curve over donors: 0.5 is best. With m donors in and n out it takes only m n + 1 values, and
    its standard error is about sqrt((m + n + 1) / (12 m n)) at 0.5: with few donors it says little.

    Raises
    ------
    ValueError
        If the arrays differ in length, cells of one donor are on both sides, or a side has fewer than two donors.

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
        msg = f"donors {split[:5]} have cells both in the training set and out of it: split train from held-out cells by donor."
        raise ValueError(msg)
    is_member = share_in == 1
    if min(is_member.sum(), (~is_member).sum()) < 2:
        msg = (
            f"there are {is_member.sum()} donors in the training set and {(~is_member).sum()} out of it; two on each side are "
            "the least, and ten the least that says something."
        )
        raise ValueError(msg)
    return float(roc_auc_score(is_member, np.bincount(donor, weights=scores) / n_cells))


def split_held_out(
    held_out: AnnData, labels_key: str | None, donor_key: str | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of the held-out cells, by donor or by type."""
    donors = strings(held_out, donor_key)
    if donors is None:
        return halves(held_out.n_obs, rng, strings(held_out, labels_key))
    names, donor = np.unique(donors, return_inverse=True)
    if len(names) < 4:
        msg = (
            f"held_out has {len(names)} donors in {donor_key!r}; without floor its donors are split in two, and two of each "
            "are the least. Hold out more donors, or leave donor_key out."
        )
        raise ValueError(msg)
    first, second = (np.flatnonzero(np.isin(donor, half)) for half in halves(len(names), rng))
    return first, second


def check_donors(sets: dict[str, AnnData], donor_key: str) -> None:
    """Raise the error that :func:`~activa.metrics.privacy.evaluate` documents if donors are shared, or few."""
    of = {}
    for name, adata in sets.items():
        check_labels(name, adata, donor_key, "donor_key")
        of[name] = set(adata.obs[donor_key].astype(str))
    for first, second in (("train", "held_out"), ("train", "floor"), ("held_out", "floor")):
        if shared := sorted(of[first] & of.get(second, set())):
            msg = f"donors {shared[:5]} have cells both in {first} and in {second}: split by donor, or leave donor_key out."
            raise ValueError(msg)
    for name in ("train", "held_out"):
        if len(of[name]) < 2:
            msg = f"{name} has one donor in {donor_key!r}; two are the least. Leave donor_key out."
            raise ValueError(msg)
