"""What a metric is, the metrics by name, and the table that they fill."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from activa.data import Cells
from activa.metrics.copying import copy_ratio, membership_auc
from activa.metrics.correlation import correlation_discrepancy
from activa.metrics.count_properties import dropout_distance, genes_per_cell_distance, library_size_distance
from activa.metrics.distances import mixing, mmd, mmd_per_type, rf_auc, wasserstein
from activa.metrics.fidelity import label_fidelity, marker_overlap, tstr_f1
from activa.metrics.space import Space

type Need = Literal["labels", "two types", "train", "counts", "donors", "shadows"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two sets of cells, and what the metrics compute on, each computed when it is first needed."""

    real: Cells
    synthetic: Cells
    space: Space
    has_train: bool
    """Whether the reference of the space is the training cells instead of the real cells."""
    seed: int

    @cached_property
    def components(self) -> tuple[np.ndarray, np.ndarray]:
        """Both sets in the principal components of the training cells, or without these in joint components.

        Components fitted to only one of the two sets would spread it wider than the other, by more than generators
        differ.
        """
        if not self.has_train:
            return self.joint_components
        return self.space.project(self.real), self.space.project(self.synthetic)

    @cached_property
    def joint_components(self) -> tuple[np.ndarray, np.ndarray]:
        """Both sets in principal components fitted to both."""
        real, synthetic = self.space.project_together(self.real, self.synthetic)
        return real, synthetic

    @property
    def labeled_reference(self) -> tuple[np.ndarray, np.ndarray]:
        """Components and types of the training cells, or without these of the real cells."""
        if self.has_train:
            return self.space.reference_components, self.space.reference.types
        return self.components[0], self.real.types

    @cached_property
    def markers(self) -> tuple[np.ndarray, np.ndarray]:
        """Log-normalized expression of the reference's markers in both sets."""
        real, synthetic = (x.log_expression[:, self.space.markers].toarray() for x in (self.real, self.synthetic))
        return real, synthetic


@dataclass(frozen=True)
class Metric[C]:
    """A metric: one row of the tables of :func:`~activa.metrics.evaluate` and of the privacy metrics."""

    compute: Callable[[C], float]
    description: str
    """What the number is and which direction is better, in one line."""
    best: float | None = None
    """Value of a perfect generator; None for the floor, the value of a second set of real cells."""
    needs: tuple[Need, ...] = ()
    """What must be given to compute it."""
    module: str | None = None
    """Optional package that it imports."""
    question: str = ""
    """What it asks, for readers who do not know the metric."""
    worst: float = math.inf
    """Value of the worst possible cells."""
    two_sided: bool = False
    """Whether values on both sides of the floor are bad."""
    squared: bool = False
    """Whether it is the square of a distance."""


def tabulate[C](metrics: Mapping[str, Metric[C]], synthetic: C, floor: C) -> pd.DataFrame:
    """The table of these metrics: ``value`` of synthetic cells, ``floor`` of real cells, ``best`` and ``description``."""
    rows = {}
    for name, metric in tqdm(metrics.items(), desc="metrics", leave=False):
        value, at_floor = metric.compute(synthetic), metric.compute(floor)
        best = at_floor if metric.best is None else metric.best
        rows[name] = {"value": value, "floor": at_floor, "best": best, "description": metric.description}
    columns = ["value", "floor", "best", "description"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("metric")


def _membership_auc(c: Comparison) -> float:
    # Principal components favor the cells to which they are fitted: fit them to equally many training and held-out cells.
    members = c.space.reference.subsample(len(c.real), np.random.default_rng(c.seed))
    return membership_auc(*c.space.project_together(members, c.real, c.synthetic), seed=c.seed)


METRICS: dict[str, Metric[Comparison]] = {
    "rf_auc": Metric(
        lambda c: rf_auc(*c.joint_components, seed=c.seed),
        "How well a random forest tells synthetic from real cells (AUC): 0.5 is chance, 1 is always; lower is better.",
        best=0.5,
        question="Can a random forest tell these cells from real ones?",
        worst=1.0,
    ),
    "mmd": Metric(
        lambda c: mmd(*c.components, seed=c.seed),
        "Squared maximum mean discrepancy, unbiased: 0 for equal distributions; lower is better.",
        best=0.0,
        question="Do the cells lie where real cells lie?",
        worst=2.0,
        squared=True,
    ),
    "mmd_per_type": Metric(
        lambda c: mmd_per_type(*c.components, c.real.types, c.synthetic.types, seed=c.seed),
        "Squared maximum mean discrepancy within types, mean over those with 10 cells in each set; lower is better.",
        best=0.0,
        needs=("labels",),
        question="Do the cells of each type lie where real cells of the type lie?",
        worst=2.0,
        squared=True,
    ),
    "wasserstein": Metric(
        lambda c: wasserstein(*c.components, seed=c.seed),
        "Wasserstein-2 distance: best at the floor; above it cells lie far from real ones, below it they vary too little.",
        question="How far would the cells have to move to become real ones?",
        two_sided=True,
    ),
    "mixing": Metric(
        lambda c: mixing(*c.components, seed=c.seed),
        "iLISI, how evenly synthetic and real cells are each other's neighbors, 0 to 1; higher is better.",
        module="scib_metrics",
        question="Are real and synthetic cells each other's neighbors?",
        worst=0.0,
    ),
    "correlation_discrepancy": Metric(
        lambda c: correlation_discrepancy(*c.markers),
        "Frobenius norm of the difference of marker correlations, upper triangle; lower is better, to the floor.",
        needs=("two types",),
        question="Do marker genes go together as they do in real cells?",
    ),
    "correlation_discrepancy_1norm": Metric(
        lambda c: correlation_discrepancy(*c.markers, norm="one"),
        "The same difference in the 1-norm of the paper (largest column sum); lower is better, to the floor.",
        needs=("two types",),
        question="Does every marker gene go with the others as it does in real cells?",
    ),
    "dropout_distance": Metric(
        lambda c: dropout_distance(c.real.counts, c.synthetic.counts),
        "Mean distance between curves of dropout rate against mean count, 0 to 1; lower is better, to the floor.",
        needs=("counts",),
        question="Are as many counts zero as in real cells?",
        worst=1.0,
    ),
    "library_size_distance": Metric(
        lambda c: library_size_distance(c.real.counts, c.synthetic.counts),
        "Wasserstein-1 distance of log total counts per cell; lower is better, to the floor.",
        needs=("counts",),
        question="Do cells have as many counts as real ones?",
    ),
    "genes_per_cell_distance": Metric(
        lambda c: genes_per_cell_distance(c.real.counts, c.synthetic.counts),
        "Wasserstein-1 distance of log numbers of detected genes per cell; lower is better, to the floor.",
        needs=("counts",),
        question="Do cells have as many detected genes as real ones?",
    ),
    "label_fidelity": Metric(
        lambda c: label_fidelity(*c.labeled_reference, c.components[1], c.synthetic.types, seed=c.seed),
        "Accuracy of an independent classifier on synthetic types: best at the floor; above it types are too pure.",
        needs=("two types",),
        question="Are the cells of the types that they are labeled as?",
        worst=0.0,
        two_sided=True,
    ),
    "tstr_f1": Metric(
        lambda c: tstr_f1(c.components[0], c.real.types, c.components[1], c.synthetic.types, seed=c.seed),
        "Macro F1 on real cells of a forest trained on synthetic ones; higher is better, up to about the floor.",
        needs=("two types",),
        question="Does a classifier trained on these cells recognize real ones?",
        worst=0.0,
    ),
    "marker_overlap": Metric(
        lambda c: marker_overlap(c.real.log_expression, c.real.types, c.synthetic.log_expression, c.synthetic.types),
        "Share of the top 20 markers of a type that are the same, mean over types; higher is better, up to the floor.",
        needs=("two types",),
        question="Would you find the same marker genes?",
        worst=0.0,
    ),
    "copy_ratio": Metric(
        lambda c: copy_ratio(c.space.reference_components, *c.components, seed=c.seed),
        "Distance to the nearest training cell divided by that of held-out cells: 1 is best, below 1 is copying.",
        best=1.0,
        needs=("train",),
        question="Are cells copies of training cells?",
        worst=0.0,
        two_sided=True,
    ),
    "membership_auc": Metric(
        _membership_auc,
        "How well closeness to synthetic cells reveals training cells (AUC): 0.5 is not at all; lower is better.",
        best=0.5,
        needs=("train",),
        question="Do the cells reveal who was in the training set?",
        worst=1.0,
    ),
}
"""Metrics by name, in the order of the table."""
