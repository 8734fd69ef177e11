"""Metrics of realism: functions on arrays, and :func:`evaluate`, which compares them with the values of real cells."""

from activa.metrics import privacy
from activa.metrics.copying import copy_ratio, membership_auc
from activa.metrics.distances import mixing, mmd, mmd_per_type, rf_auc, wasserstein
from activa.metrics.evaluation import METRICS, Metric, evaluate
from activa.metrics.fidelity import label_fidelity, marker_overlap, top_markers, tstr_f1
from activa.metrics.properties import (
    correlation_discrepancy,
    dropout_distance,
    genes_per_cell_distance,
    library_size_distance,
)
from activa.metrics.space import Comparison

__all__ = [
    "METRICS",
    "Comparison",
    "Metric",
    "copy_ratio",
    "correlation_discrepancy",
    "dropout_distance",
    "evaluate",
    "genes_per_cell_distance",
    "label_fidelity",
    "library_size_distance",
    "marker_overlap",
    "membership_auc",
    "mixing",
    "mmd",
    "mmd_per_type",
    "privacy",
    "rf_auc",
    "top_markers",
    "tstr_f1",
    "wasserstein",
]
