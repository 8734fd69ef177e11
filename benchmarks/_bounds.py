"""What the project has set itself to reach on every dataset, a bound each."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, nan

import pandas as pd

# of the default training of 400 epochs on two idle cores
SCVI_SECONDS = {
    "zheng_facs_pbmc": 937,
    "pbmc3k": 583,
    "baron_mouse_pancreas": 549,
    "cbmc_citeseq_hvg2000": 329,
    "sc_mixology_5cl": 207,
    "paul15_marrow": 169,
}


@dataclass(frozen=True)
class Figures:
    """The figures of one dataset that bounds are about, each a Series by metric."""

    dataset: str
    ours: pd.Series
    """Means over seeds."""
    floor: pd.Series
    """Of a second set of real cells, means over the same seeds."""
    real: pd.Series
    """The same, means over all splits."""
    low: pd.Series
    """Lower end of the 95% interval of real cells over splits."""
    high: pd.Series
    """Upper end."""
    scvi: pd.Series
    """scVI posterior's."""


@dataclass(frozen=True)
class Verdict:
    """A figure, and where it must lie."""

    figure: float
    at_least: float = -inf
    at_most: float = inf

    @property
    def met(self) -> bool | None:
        """None where there is nothing to compare."""
        if isnan(self.figure) or isnan(self.at_least) or isnan(self.at_most):
            return None
        return self.at_least <= self.figure <= self.at_most


def _at_most_scvi(metric: str):
    return lambda f: Verdict(f.ours[metric], at_most=f.scvi[metric])


def _at_most_floor(metric: str, factor: float):
    return lambda f: Verdict(f.ours[metric], at_most=factor * f.floor[metric])


def _usefulness(f: Figures) -> Verdict:
    return Verdict(f.ours["tstr_f1"], at_least=min(0.97 * f.floor["tstr_f1"], f.low["tstr_f1"]))


def _fidelity(f: Figures) -> Verdict:
    floor, low, high = (x["label_fidelity"] for x in (f.floor, f.low, f.high))
    return Verdict(f.ours["label_fidelity"], min(floor - 0.02, low), max(floor + 0.02, high))


BOUNDS = {
    "random-forest AUC at most 0.54": lambda f: Verdict(f.ours["rf_auc"], at_most=0.54),
    "random-forest AUC at most scVI posterior's": _at_most_scvi("rf_auc"),
    "W2 at most 1.015 x the floor": _at_most_floor("wasserstein", 1.015),
    "MMD² at most scVI posterior's": _at_most_scvi("mmd"),
    "MMD² within types at most scVI posterior's": _at_most_scvi("mmd_per_type"),
    "correlation discrepancy at most 1.25 x the floor": _at_most_floor("correlation_discrepancy", 1.25),
    "dropout distance at most twice the floor": _at_most_floor("dropout_distance", 2),
    "library-size distance at most twice the floor": _at_most_floor("library_size_distance", 2),
    "genes-per-cell distance at most twice the floor": _at_most_floor("genes_per_cell_distance", 2),
    "F1 trained on synthetic at least 0.97 x the floor, or in the 95% interval": _usefulness,
    "label fidelity within 0.02 of the floor, or in the 95% interval": _fidelity,
    "marker overlap at least 0.9 x the floor": lambda f: Verdict(
        f.ours["marker_overlap"], at_least=0.9 * f.floor["marker_overlap"]
    ),
    "recall of rare types at least real cells' - 0.1": lambda f: Verdict(
        f.ours["rare_recall"], at_least=f.real["rare_recall"] - 0.1
    ),
    "membership AUC at most 0.53": lambda f: Verdict(f.ours["membership_auc"], at_most=0.53),
    "copy ratio at least 0.97": lambda f: Verdict(f.ours["copy_ratio"], at_least=0.97),
    "seconds to train at most a fifth of scVI's": lambda f: Verdict(
        f.ours["train_seconds"], at_most=SCVI_SECONDS.get(f.dataset, nan) / 5
    ),
}
