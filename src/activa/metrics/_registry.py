import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from activa.data import Cells

from ._copying import copy_ratio, membership_auc
from ._correlation import correlation_discrepancy
from ._dropout import dropout_distance
from ._genes_per_cell import genes_per_cell_distance
from ._label_fidelity import label_fidelity
from ._library_size import library_size_distance
from ._marker_overlap import marker_overlap
from ._mixing import mixing
from ._mmd import mmd, mmd_per_type
from ._rf_auc import rf_auc
from ._space import Space
from ._tstr import tstr_f1
from ._wasserstein import wasserstein


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two sets of cells, and what the metrics compute on, each made when first needed."""

    real: Cells
    synthetic: Cells
    space: Space
    has_train: bool
    """Whether the space's reference is the training cells, and not the real ones themselves."""
    seed: int

    @cached_property
    def components(self) -> tuple[np.ndarray, np.ndarray]:
        """Both sets in the training cells' principal components, or without training cells in joint ones.

        Components fitted on one of the two sets spread it wider than the other, by more than generators differ.
        """
        if not self.has_train:
            return self.joint_components
        return self.space.project(self.real), self.space.project(self.synthetic)

    @cached_property
    def joint_components(self) -> tuple[np.ndarray, np.ndarray]:
        """Both sets in principal components fitted on the two of them."""
        real, synthetic = self.space.project_together(self.real, self.synthetic)
        return real, synthetic

    @cached_property
    def markers(self) -> tuple[np.ndarray, np.ndarray]:
        """Log-normalized expression of the reference's markers in both sets."""
        real, synthetic = (x.log_expression[:, self.space.markers].toarray() for x in (self.real, self.synthetic))
        return real, synthetic


type Need = Literal["labels", "two types", "train", "counts"]


@dataclass(frozen=True)
class Metric:
    """One row of the table that :func:`~activa.metrics.evaluate` makes."""

    compute: Callable[[Comparison], float]
    description: str
    """What the number is and which way is better, in a line."""
    best: float | None = None
    """Where a perfect generator stands; None is the floor, where a second set of real cells stands."""
    needs: tuple[Need, ...] = ()
    """What evaluate() must be given."""
    module: str | None = None
    """Optional package that it imports."""
    question: str = ""
    """What it asks, for somebody who does not know metrics."""
    worst: float = math.inf
    """The value of cells that could not be less like the real ones."""
    two_sided: bool = False
    """Whether a value on the other side of the floor than the worst is bad as well."""
    squared: bool = False
    """Whether it is the square of a distance."""


def _label_fidelity(c: Comparison) -> float:
    reference, labels = c.components[0], c.real.types
    if c.has_train:
        reference, labels = c.space.reference_components, c.space.reference.types
    return label_fidelity(reference, labels, c.components[1], c.synthetic.types, seed=c.seed)


def _membership_auc(c: Comparison) -> float:
    # Cells spread wider in components fitted on them than new cells do, which would tell training cells from held-out
    # ones before any synthetic cell is seen: so as many of either are fitted.
    members = c.space.reference.draw(len(c.real), np.random.default_rng(c.seed))
    train, held_out, synthetic = c.space.project_together(members, c.real, c.synthetic)
    return membership_auc(train, held_out, synthetic, seed=c.seed)


METRICS: dict[str, Metric] = {
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
        "Squared maximum mean discrepancy within types, mean over those with 10 cells on each side; lower is better.",
        best=0.0,
        needs=("labels",),
        question="Do they, within each type?",
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
        question="The same, as the paper measures it: the gene that is furthest off",
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
        "Wasserstein-1 distance of log total counts; lower is better, to the floor.",
        needs=("counts",),
        question="Have cells as many counts as real ones?",
    ),
    "genes_per_cell_distance": Metric(
        lambda c: genes_per_cell_distance(c.real.counts, c.synthetic.counts),
        "Wasserstein-1 distance of log numbers of genes detected in a cell; lower is better, to the floor.",
        needs=("counts",),
        question="Have cells as many detected genes as real ones?",
    ),
    "label_fidelity": Metric(
        _label_fidelity,
        "Accuracy of an independent classifier on synthetic types: best at the floor; above it types are too pure.",
        needs=("two types",),
        question="Are the cells of the types that they are called?",
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
        "Distance to the nearest training cell over that of held-out cells: 1 is best, below 1 is copying.",
        best=1.0,
        needs=("train",),
        question="Are cells copies of training cells?",
        worst=0.0,
        two_sided=True,
    ),
    "membership_auc": Metric(
        _membership_auc,
        "How well closeness to synthetic cells gives training cells away (AUC): 0.5 is not at all; lower is better.",
        best=0.5,
        needs=("train",),
        question="Do the cells give away who was in the training set?",
        worst=1.0,
    ),
}
"""Metrics by name, in the order of the table."""
