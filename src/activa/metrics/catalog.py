"""The metrics by name: what each computes, what it means, and what is wrong with cells that it finds unlike real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import wasserstein_distance

from activa.metrics import gene_properties, properties
from activa.metrics.copying import copy_ratio, membership_auc
from activa.metrics.detection import detect, forest, forest_of_facts, quadratic
from activa.metrics.differential import difference_of_shares
from activa.metrics.distances import mixing, mmd, mmd_per_type, wasserstein
from activa.metrics.estimates import Estimate
from activa.metrics.fidelity import macro_f1, overlap_of_markers
from activa.metrics.samples import Comparison

type Need = Literal["labels", "two types", "train", "counts"]

NEEDS: dict[Need, str] = {
    "labels": "labels_key",
    "two types": "labels_key with at least two types (of four cells) in real",
    "train": "train",
    "counts": "counts (normalized=False)",
}


@dataclass(frozen=True)
class Metric:
    """One row of the table of :func:`~activa.metrics.evaluate`."""

    compute: Callable[[Comparison], float | Estimate]  # an Estimate of all cells, or a figure of halves of both sets
    description: str  # what the number is and which direction is better, in one line
    question: str = ""  # what it asks, for readers who do not know the metric
    fault: str = ""  # what is wrong with cells that are worse than real ones
    fault_below: str = ""  # the same for cells below the floor, if both sides are worse
    best: float | None = None  # value of a perfect generator; None for that of a second set of real cells
    needs: tuple[Need, ...] = ()  # what must be given to compute it
    module: str | None = None  # optional package that it imports
    worst: float = np.inf  # value of the worst possible cells
    detects: bool = False  # whether it is a classifier's area under the curve, of all cells
    alone: bool = False  # whether it uses a library that changes the filters of warnings, which threads share

    @property
    def two_sided(self) -> bool:
        """Whether values on both sides of the floor are worse."""
        return bool(self.fault_below)

    @property
    def higher_is_better(self) -> bool:
        """Whether values below the floor are worse, and values above it are not."""
        return self.worst == 0 and not self.two_sided


def _overfitting(c: Comparison) -> Estimate:
    """How much better a forest tells synthetic cells from unseen cells than from training cells."""
    unseen = detect(forest, c.real.together, c.synthetic.together, c.seed)
    return unseen.minus(detect(forest, c.training.drawn(len(c.real), c.seed), c.synthetic.together, c.seed))


METRICS: dict[str, Metric] = {
    "rf_auc": Metric(
        lambda c: detect(forest, *c.components, c.seed),
        "How well a forest tells synthetic from real cells (AUC): 0.5 is chance, 1 is always; lower is better.",
        "Can a random forest tell these cells from real ones?",
        "A random forest tells the cells from real ones by their expression.",
        best=0.5,
        worst=1.0,
        detects=True,
    ),
    "quadratic_auc": Metric(
        lambda c: detect(quadratic, *c.components, c.seed),
        "How well a Gaussian of each set tells synthetic from real cells (AUC): 0.5 is chance; lower is better.",
        "Do genes vary together as in real cells?",
        "Genes do not vary together as in real cells: covariances in 50 components tell the cells.",
        best=0.5,
        worst=1.0,
        detects=True,
    ),
    "profile_auc": Metric(
        lambda c: detect(forest_of_facts, c.real.profiles, c.synthetic.profiles, c.seed),
        "How well a forest tells cells by depth, genes detected, concentration, singletons (AUC): 0.5 is chance.",
        "Do depth, genes detected, large and single counts of a cell fit together?",
        "Depth, detected genes, large and single counts of a cell do not fit together as in real cells.",
        best=0.5,
        needs=("counts",),
        worst=1.0,
        detects=True,
    ),
    "mmd": Metric(
        lambda c: mmd(*c.components, seed=c.seed),
        "Squared maximum mean discrepancy, unbiased: 0 for equal distributions; lower is better.",
        "Do the cells lie where real cells lie?",
        "The cells do not lie where real cells lie, or not as many of them.",
        best=0.0,
        worst=2.0,
    ),
    "mmd_per_type": Metric(
        lambda c: mmd_per_type(*c.components, *c.labels, seed=c.seed),
        "Squared maximum mean discrepancy within types, mean over those with 10 cells in each set; lower is better.",
        "Do the cells of each type lie where real cells of the type lie?",
        "The cells of a type do not lie where real cells of the type lie.",
        best=0.0,
        needs=("labels",),
        worst=2.0,
    ),
    "wasserstein": Metric(
        lambda c: wasserstein(*c.components, max_cells=500, seed=c.seed),
        "Wasserstein-2 distance: best at the floor; above it cells are far from real ones, below they vary too little.",
        "How far would the cells have to move to become real ones?",
        "The cells are farther from real ones than other real cells are.",
        "The cells vary too little: they are nearer to real ones than other real cells are.",
    ),
    "mixing": Metric(
        lambda c: mixing(*c.components, max_cells=300, seed=c.seed),
        "iLISI, how evenly synthetic and real cells are each other's neighbors, 0 to 1; higher is better.",
        "Are real and synthetic cells each other's neighbors?",
        "Real and synthetic cells keep to themselves instead of being each other's neighbors.",
        module="scib_metrics",
        worst=0.0,
        alone=True,
    ),
    "correlation_discrepancy": Metric(
        lambda c: properties.correlation_discrepancy(c.real.marker_expression, c.synthetic.marker_expression),
        "Frobenius norm of the difference of marker correlations, upper triangle; lower is better, to the floor.",
        "Do marker genes go together as they do in real cells?",
        "Marker genes do not go together as in real cells.",
        needs=("two types",),
    ),
    "correlation_discrepancy_1norm": Metric(
        lambda c: properties.correlation_discrepancy(
            c.real.marker_expression, c.synthetic.marker_expression, norm="one"
        ),
        "The same difference in the 1-norm of the paper (largest column sum); lower is better, to the floor.",
        "Does every marker gene go with the others as it does in real cells?",
        "A marker gene does not go with the others as in real cells.",
        needs=("two types",),
    ),
    "dropout_distance": Metric(
        lambda c: properties.dropout_distance(*c.counts),
        "Mean distance between curves of dropout rate against mean count, 0 to 1; lower is better, to the floor.",
        "Are as many counts zero as in real cells?",
        "Genes have more or fewer zeros for their mean than in real cells.",
        needs=("counts",),
        worst=1.0,
    ),
    "library_size_distance": Metric(
        lambda c: properties.library_size_distance(*c.counts),
        "Wasserstein-1 distance of log total counts per cell; lower is better, to the floor.",
        "Do cells have as many counts as real ones?",
        "Depth: cells do not have as many counts as real ones.",
        needs=("counts",),
    ),
    "genes_per_cell_distance": Metric(
        lambda c: properties.genes_per_cell_distance(*c.counts),
        "Wasserstein-1 distance of log numbers of detected genes per cell; lower is better, to the floor.",
        "Do cells have as many detected genes as real ones?",
        "Cells do not have as many detected genes as real ones.",
        needs=("counts",),
    ),
    "effective_library_distance": Metric(
        lambda c: float(wasserstein_distance(c.real.effective_library, c.synthetic.effective_library)),
        "Wasserstein-1 distance of log library sizes times TMM factors; lower is better, to the floor.",
        "Is the depth of genes that do not stand out that of real cells?",
        "Counts are spread otherwise between a few large genes and all others.",
        needs=("counts",),
    ),
    "library_zeros_distance": Metric(
        lambda c: gene_properties.library_zeros_distance(*c.counts),
        "Distance between log library size and share of zeros of cells, in standard deviations; lower is better.",
        "Do cells have the zeros that their depth gives real ones?",
        "Cells have other shares of zeros for their depth than real ones.",
        needs=("counts",),
    ),
    "cell_correlation_distance": Metric(
        lambda c: gene_properties.cell_correlation_distance(
            c.real.expression, c.synthetic.expression, max_cells=200, seed=c.seed
        ),
        "Kolmogorov-Smirnov distance of correlations between cells, 0 to 1; lower is better, to the floor.",
        "Are cells as similar to each other as real ones?",
        "Cells are more or less similar to each other than real ones.",
        worst=1.0,
    ),
    "gene_mean_distance": Metric(
        lambda c: gene_properties.gene_mean_distance(*c.counts),
        "Kolmogorov-Smirnov distance of genes' means of log2 CPM, 0 to 1; lower is better, to the floor.",
        "Are genes expressed as highly as in real cells?",
        "Genes are expressed higher or lower than in real cells.",
        needs=("counts",),
        worst=1.0,
    ),
    "gene_variance_distance": Metric(
        lambda c: gene_properties.gene_variance_distance(*c.counts),
        "Kolmogorov-Smirnov distance of genes' variances of log2 CPM, 0 to 1; lower is better, to the floor.",
        "Do genes vary as much as in real cells?",
        "Genes vary more or less than in real cells.",
        needs=("counts",),
        worst=1.0,
    ),
    "gene_zeros_distance": Metric(
        lambda c: gene_properties.gene_zeros_distance(*c.counts),
        "Kolmogorov-Smirnov distance of genes' shares of zeros, 0 to 1; lower is better, to the floor.",
        "Are genes silent in as many cells as they are among real ones?",
        "Genes are silent in more or fewer cells than among real ones.",
        needs=("counts",),
        worst=1.0,
    ),
    "mean_variance_distance": Metric(
        lambda c: gene_properties.mean_variance_distance(*c.counts),
        "Distance between genes' means and variances of log2 CPM, in standard deviations; lower is better.",
        "Do genes vary as much for their mean as in real cells?",
        "Genes vary otherwise for their mean than in real cells.",
        needs=("counts",),
    ),
    "mean_zeros_distance": Metric(
        lambda c: gene_properties.mean_zeros_distance(*c.counts),
        "Distance between genes' means and shares of zeros, in standard deviations; lower is better, to the floor.",
        "Are genes silent as often for their mean as in real cells?",
        "Genes are silent in other shares of cells for their mean than in real cells.",
        needs=("counts",),
    ),
    "differential_distance": Metric(
        lambda c: difference_of_shares(c.real.differential_shares, c.synthetic.differential_shares),
        "Mean difference of the shares of DE, DV and DD genes of the two largest types; lower is better, to the floor.",
        "Do as many genes differ between types as in real cells?",
        "More or fewer genes differ between the two largest types than in real cells.",
        needs=("two types",),
        worst=1.0,
    ),
    "label_fidelity": Metric(
        lambda c: float(np.mean(c.real.recognize(c.synthetic) == c.labels[1])),
        "Accuracy of an independent classifier on synthetic types: best at the floor; above it types are too pure.",
        "Are the cells of the types that they are labeled as?",
        "Types are too pure: more cells are recognized than real ones.",
        "Cells are not of the types that they are labeled as: fewer are recognized than of real ones.",
        needs=("two types",),
        worst=0.0,
        alone=True,
    ),
    "tstr_f1": Metric(
        lambda c: macro_f1(c.labels[0], c.synthetic.recognize(c.real)),
        "Macro F1 on real cells of a classifier trained on synthetic ones; higher is better, up to about the floor.",
        "Does a classifier trained on these cells recognize real ones?",
        "A classifier that is trained on the cells recognizes fewer real ones: types are missing or lack variety.",
        needs=("two types",),
        worst=0.0,
        alone=True,
    ),
    "marker_overlap": Metric(
        lambda c: overlap_of_markers(c.real.top_markers, c.synthetic.top_markers),
        "Share of the top 20 markers of a type that are the same, mean over types; higher is better, up to the floor.",
        "Would you find the same marker genes?",
        "Other marker genes are found than in real cells.",
        needs=("two types",),
        worst=0.0,
    ),
    "overfitting": Metric(
        _overfitting,
        "A forest's AUC against unseen cells minus that against training cells: 0 is best, above it is overfitting.",
        "Are the cells more like the training cells than like unseen ones?",
        "Overfitting: the cells are more like the training cells than like unseen ones.",
        best=0.0,
        needs=("train",),
        worst=0.5,
        detects=True,
    ),
    "copy_ratio": Metric(
        lambda c: copy_ratio(c.training.near_train, c.real.near_train, c.synthetic.near_train, seed=c.seed),
        "Distance to the nearest training cell divided by that of held-out cells: 1 is best, below 1 is copying.",
        "Are cells copies of training cells?",
        "The cells lie farther from training cells than other real cells do.",
        "Copies: the cells lie closer to training cells than other real cells do.",
        best=1.0,
        needs=("train",),
        worst=0.0,
    ),
    "membership_auc": Metric(
        lambda c: membership_auc(
            c.training.drawn(len(c.real), c.seed), c.real.together, c.synthetic.together, seed=c.seed
        ),
        "How well closeness to synthetic cells reveals training cells (AUC): 0.5 is not at all; lower is better.",
        "Do the cells reveal who was in the training set?",
        "The cells reveal who was in the training set.",
        best=0.5,
        needs=("train",),
        worst=1.0,
    ),
}
"""Metrics by name, in the order of the table."""
