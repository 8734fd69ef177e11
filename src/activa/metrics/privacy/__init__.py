"""Attacks on synthetic cells: what they reveal about the cells, and the donors, that a generator was trained on."""

from activa.metrics.copying import (
    close_share,
    copy_ratio,
    dcr_share,
    donor_auc,
    exact_copies,
    membership_auc,
    membership_tpr,
    nndr,
    tpr_at_fpr,
)
from activa.metrics.privacy.privacy_evaluation import evaluate
from activa.metrics.privacy.refusal import TooClose, refuse_close
from activa.metrics.privacy.shadow_models import Generator, shadow_attack

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
