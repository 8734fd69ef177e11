from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from activa.data import Cells

type Grade = Literal["as real", "close", "different", "far", "unknown"]

# How much further from chance than real cells (AUC) each grade goes. The forest's own noise is about 0.02.
_GRADES: tuple[tuple[float, Grade, str], ...] = (
    (
        0.03,
        "as real",
        "A random forest hardly tells these cells from real ones better than it tells two sets of real cells apart.",
    ),
    (0.1, "close", "A random forest tells these cells from real ones only a little better than by chance."),
    (0.25, "different", "A random forest tells many of these cells from real ones."),
    (0.51, "far", "A random forest easily tells these cells from real ones."),
)
_FEW_CELLS = 200
# Difference of a type's shares that is told of.
_SHARE = 0.02


@dataclass(frozen=True)
class Verdict:
    """The top of the page."""

    grade: Grade
    headline: str
    meaning: str
    notes: tuple[str, ...]
    """What else to know before the cells are used."""


def verdict(table: pd.DataFrame, real: Cells, synthetic: Cells, n_compared: int) -> Verdict:
    """What the forest can tell, and what else a reader must know, in words.

    Parameters
    ----------
    table
        What :func:`activa.metrics.evaluate` gives.
    real, synthetic
        All cells, for their types.
    n_compared
        How many of either were compared.
    """
    auc, floor = _figures(table, "rf_auc")
    # a forest below chance has learnt noise, and is as good as chance
    excess = max(auc, 0.5) - max(floor, 0.5)
    grade: Grade = "unknown"
    headline = "The random forest gave no figure for these cells."
    if not np.isnan(excess):
        grade, headline = next((grade, headline) for most, grade, headline in _GRADES if excess <= most)
    meaning = (
        f"Shown one real and one synthetic cell, it picks the synthetic one {100 * auc:.0f} times in 100 "
        f"(AUC {auc:.3f}); of two sets of real cells, the one it is asked for {100 * floor:.0f} times in 100 "
        f"(AUC {floor:.3f}, the floor). Guessing gives 50."
    )
    notes = [*_of_copies(table), *_of_types(real, synthetic), *_of_size(n_compared)]
    return Verdict(grade, headline, meaning, tuple(notes))


def _figures(table: pd.DataFrame, metric: str) -> tuple[float, float]:
    return float(table["value"][metric]), float(table["floor"][metric])


def _of_copies(table: pd.DataFrame) -> list[str]:
    if "copy_ratio" not in table.index:
        return ["Whether cells are copies of training cells was not looked at: that needs the training cells (train)."]
    ratio, floor = _figures(table, "copy_ratio")
    if ratio < 0.9 * floor:
        return [
            f"Cells lie closer to training cells than other real cells do ({ratio:.2f} of the distance; floor "
            f"{floor:.2f}): they may be copies. Look at them before you share any."
        ]
    return [
        f"No sign of copying as a whole (distance to the nearest training cell {ratio:.2f} of a held-out cell's; floor "
        f"{floor:.2f}). This is no proof of privacy: single cells may still be close to training cells."
    ]


def _of_types(real: Cells, synthetic: Cells) -> list[str]:
    if real.labels is None:
        return ["Types were not compared: that needs their column (labels_key)."]
    labels = np.unique(np.concatenate([real.types, synthetic.types]))
    in_real, in_synthetic = (
        np.array([(cells.types == label).mean() for label in labels]) for cells in (real, synthetic)
    )
    notes = []
    if (absent := labels[in_synthetic == 0]).size:
        notes.append(f"Types of the real cells that no synthetic cell has: {_listed(absent)}.")
    if (unknown := labels[in_real == 0]).size:
        notes.append(f"Types of synthetic cells that no real cell here has: {_listed(unknown)}.")
    furthest = int(np.argmax(np.abs(in_synthetic - in_real)))
    if abs(in_synthetic[furthest] - in_real[furthest]) > _SHARE:
        notes.append(
            f"Types are not in the real proportions ({labels[furthest]}: {in_real[furthest]:.1%} of the real and "
            f"{in_synthetic[furthest]:.1%} of the synthetic cells). All figures but those within types measure that too; "
            "generate types in the proportions of the real cells to leave it out."
        )
    return notes


def _of_size(n_compared: int) -> list[str]:
    if n_compared >= _FEW_CELLS:
        return []
    return [f"Only {n_compared} cells of each kind were compared: every figure is uncertain, the floor as well."]


def _listed(types: np.ndarray, most: int = 10) -> str:
    more = f" and {len(types) - most} more" if len(types) > most else ""
    return ", ".join(types[:most]) + more
