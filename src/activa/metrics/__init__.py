"""Metrics of realism: functions on arrays, and :func:`evaluate`, which compares them with the values of real cells."""

from activa.metrics import privacy
from activa.metrics.copying import copy_ratio, membership_auc
from activa.metrics.correlation import correlation_discrepancy, top_markers
from activa.metrics.count_properties import dropout_distance, genes_per_cell_distance, library_size_distance
from activa.metrics.distances import mixing, mmd, mmd_per_type, rf_auc, wasserstein
from activa.metrics.evaluation import evaluate
from activa.metrics.fidelity import label_fidelity, marker_overlap, tstr_f1
from activa.metrics.registry import METRICS, Comparison, Metric

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
