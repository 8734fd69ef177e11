"""Attacks on synthetic cells: what they give away about the cells, and the donors, that a generator was trained on."""

from activa.metrics._copying import copy_ratio, membership_auc

from ._donors import donor_auc
from ._evaluate import evaluate
from ._exact import exact_copies
from ._low_fpr import membership_tpr, tpr_at_fpr
from ._nearest_record import close_share, dcr_share, nndr
from ._refuse import TooClose, refuse_close
from ._shadow import Generator, shadow_attack

__all__ = [
    "Generator",
    "TooClose",
    "close_share",
    "copy_ratio",
    "dcr_share",
    "donor_auc",
    "evaluate",
    "exact_copies",
    "membership_auc",
    "membership_tpr",
    "nndr",
    "refuse_close",
    "shadow_attack",
    "tpr_at_fpr",
]
