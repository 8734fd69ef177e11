"""The paper's experiments: each returns a tidy table, which a function of :mod:`activa.pl` with the same name plots."""

from activa.experiments.comparisons import (
    correlation_discrepancy,
    dropout_curve,
    manifold,
    marker_expression,
    rf_detection,
)
from activa.experiments.rare_types import augmentation, augmentation_gain
from activa.experiments.trainings import margin_search, scaling
from activa.experiments.type_reports import classifier_report, differential_state

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
