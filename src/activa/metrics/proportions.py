"""Whether synthetic cells are of the types of the real ones, in their proportions."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2_contingency

from activa.data import Cells

_SHARE = 0.02  # smallest difference between the shares of a type that is told
_P_VALUE = 0.001


def proportion_notes(real: Cells, synthetic: Cells) -> list[str]:
    """Sentences on types that one set lacks, and on proportions that differ beyond chance; none without labels."""
    if real.labels is None or synthetic.labels is None:
        return []
    labels = np.unique(np.concatenate([real.types, synthetic.types]))
    counts = np.array([[(cells.types == label).sum() for label in labels] for cells in (real, synthetic)])
    if not (counts > 0).all(axis=0).any():
        return ["No type of the synthetic cells is a type of the real ones: name types alike in both sets."]
    notes = []
    if (absent := labels[counts[1] == 0]).size:
        notes.append(f"Types of real cells without synthetic cells: {_listed(absent)}.")
    if (unknown := labels[counts[0] == 0]).size:
        notes.append(f"Types of synthetic cells without real cells: {_listed(unknown)}.")
    shares = counts / counts.sum(axis=1, keepdims=True)
    at = int(np.argmax(np.abs(shares[1] - shares[0])))
    if abs(shares[1, at] - shares[0, at]) > _SHARE and chi2_contingency(counts).pvalue < _P_VALUE:
        notes.append(
            f"Types are not in the real proportions ({labels[at]}: {shares[0, at]:.1%} of the real and "
            f"{shares[1, at]:.1%} of the synthetic cells), which all figures but those within types measure too. Generate "
            "types in the proportions of the real cells to avoid it."
        )
    return notes


def _listed(types: np.ndarray, most: int = 10) -> str:
    more = f" and {len(types) - most} more" if len(types) > most else ""
    return ", ".join(types[:most]) + more
