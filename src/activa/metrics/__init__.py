"""Metrics of realism: functions on arrays, and :func:`evaluate`, which compares them with the values of real cells."""

from activa.metrics import privacy
from activa.metrics.catalog import METRICS, Metric
from activa.metrics.copying import copy_ratio, membership_auc
from activa.metrics.detection import rf_auc
from activa.metrics.differential import differential_distance, differential_shares
from activa.metrics.distances import mixing, mmd, mmd_per_type, wasserstein
from activa.metrics.evaluation import evaluate
from activa.metrics.fidelity import label_fidelity, marker_overlap, top_markers, tstr_f1
from activa.metrics.gene_properties import (
    cell_correlation_distance,
    effective_library_distance,
    gene_differences,
    gene_mean_distance,
    gene_variance_distance,
    gene_zeros_distance,
    library_zeros_distance,
    mean_variance_distance,
    mean_zeros_distance,
)
from activa.metrics.profiles import cell_profiles, effective_library_size
from activa.metrics.properties import (
    correlation_discrepancy,
    dropout_distance,
    genes_per_cell_distance,
    library_size_distance,
)
from activa.metrics.samples import Comparison
from activa.metrics.type_evaluation import evaluate_types
from activa.metrics.verdict import Verdict, judge

__all__ = [
    "METRICS",
    "Comparison",
    "Metric",
    "Verdict",
    "copy_ratio",
    "correlation_discrepancy",
    "dropout_distance",
    "evaluate",
    "evaluate_types",
    "genes_per_cell_distance",
    "judge",
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
    "differential_distance",
    "differential_shares",
    "cell_correlation_distance",
    "effective_library_distance",
    "gene_differences",
    "gene_mean_distance",
    "gene_variance_distance",
    "gene_zeros_distance",
    "library_zeros_distance",
    "mean_variance_distance",
    "mean_zeros_distance",
    "cell_profiles",
    "effective_library_size",
]
