"""Metrics of realism: each a function on arrays, and :func:`evaluate` over them with the real-vs-real floor beside."""

from . import privacy
from ._copying import copy_ratio, membership_auc
from ._correlation import correlation_discrepancy, top_markers
from ._dropout import dropout_distance
from ._evaluate import evaluate
from ._genes_per_cell import genes_per_cell_distance
from ._label_fidelity import label_fidelity
from ._library_size import library_size_distance
from ._marker_overlap import marker_overlap
from ._mixing import mixing
from ._mmd import mmd, mmd_per_type
from ._registry import METRICS, Comparison, Metric
from ._rf_auc import rf_auc
from ._tstr import tstr_f1
from ._wasserstein import wasserstein

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
