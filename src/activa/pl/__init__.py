"""Plots, with scanpy's conventions: shown if ``scanpy.settings.autoshow`` says so, saved, or returned.

Each takes ``show``, ``save`` and ``return_fig``, and ``ax`` if it is one panel. Global settings do not change, and pyplot
keeps no figure that is not on the screen: returned figures and Axes are freed with their last reference.
"""

from activa.pl.count_plots import dropout, dropout_curve, genes_per_cell, library_size, mean_variance
from activa.pl.embeddings import joint_umap, manifold, umap, umap_per_type
from activa.pl.gene_plots import correlation, correlation_discrepancy, marker_expression, markers
from activa.pl.profile_plots import cell_profiles
from activa.pl.score_plots import history, margin_search, metrics, rf_detection, scaling
from activa.pl.type_plots import augmentation, classifier_report, confusion, differential_state

__all__ = [
    "augmentation",
    "cell_profiles",
    "classifier_report",
    "confusion",
    "correlation",
    "correlation_discrepancy",
    "differential_state",
    "dropout",
    "dropout_curve",
    "genes_per_cell",
    "history",
    "joint_umap",
    "library_size",
    "manifold",
    "margin_search",
    "marker_expression",
    "markers",
    "mean_variance",
    "metrics",
    "rf_detection",
    "scaling",
    "umap",
    "umap_per_type",
]
