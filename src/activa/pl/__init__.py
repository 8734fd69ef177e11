"""Plots: each returns a Matplotlib figure, shows nothing by itself and leaves global settings alone."""

from ._augmentation import augmentation
from ._classifier_report import classifier_report
from ._correlation_discrepancy import correlation_discrepancy
from ._differential_state import differential_state
from ._dropout_curve import dropout_curve
from ._manifold import manifold
from ._margin_search import margin_search
from ._marker_expression import marker_expression
from ._rf_detection import rf_detection
from ._scaling import scaling
from ._umap import umap

__all__ = [
    "augmentation",
    "classifier_report",
    "correlation_discrepancy",
    "differential_state",
    "dropout_curve",
    "manifold",
    "margin_search",
    "marker_expression",
    "rf_detection",
    "scaling",
    "umap",
]
