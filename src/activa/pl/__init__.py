"""Plots, with scanpy's conventions: shown by themselves where ``scanpy.settings.autoshow`` says so, or saved or returned.

Each takes ``show``, ``save`` and ``return_fig``, and ``ax`` where it is one panel. Global settings are left alone, and
pyplot keeps no figure that is not on the screen: a figure or Axes that were returned are gone when they are dropped.
"""

from ._augmentation import augmentation
from ._classifier_report import classifier_report
from ._confusion import confusion
from ._correlation import correlation
from ._correlation_discrepancy import correlation_discrepancy
from ._differential_state import differential_state
from ._dropout import dropout
from ._dropout_curve import dropout_curve
from ._genes_per_cell import genes_per_cell
from ._history import history
from ._library_size import library_size
from ._manifold import manifold
from ._margin_search import margin_search
from ._marker_expression import marker_expression
from ._markers import markers
from ._mean_variance import mean_variance
from ._metrics import metrics
from ._rf_detection import rf_detection
from ._scaling import scaling
from ._umap import umap
from ._umap_per_type import umap_per_type

__all__ = [
    "augmentation",
    "classifier_report",
    "confusion",
    "correlation",
    "correlation_discrepancy",
    "differential_state",
    "dropout",
    "dropout_curve",
    "genes_per_cell",
    "history",
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
