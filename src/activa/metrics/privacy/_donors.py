import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

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
