"""The paper's experiments: each gives a tidy table, which a function of :mod:`activa.pl` with the same name plots."""

from ._augmentation import augmentation
from ._augmentation_gain import augmentation_gain
from ._classifier_report import classifier_report
from ._correlation_discrepancy import correlation_discrepancy
from ._differential_state import differential_state
from ._dropout_curve import dropout_curve
from ._manifold import manifold
from ._margin_search import margin_search
from ._marker_expression import marker_expression
from ._rf_detection import rf_detection
from ._scaling import scaling

__all__ = [
    "augmentation",
    "augmentation_gain",
    "classifier_report",
    "correlation_discrepancy",
    "differential_state",
    "dropout_curve",
    "manifold",
    "margin_search",
    "marker_expression",
    "rf_detection",
    "scaling",
]
