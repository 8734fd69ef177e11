"""The metrics by name, and the comparison of synthetic with real cells next to a second set of real cells."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from activa.arguments import check_booleans, check_integers
from activa.data import Cells, check_sets, read_cells
from activa.metrics import properties
from activa.metrics.copying import copy_ratio, membership_auc
from activa.metrics.distances import mixing, mmd, mmd_per_type, rf_auc, wasserstein
from activa.metrics.fidelity import label_fidelity, marker_overlap, tstr_f1
from activa.metrics.space import Comparison, compare
from activa.optional import is_installed
from activa.seeds import MAX_SEED

type Need = Literal["labels", "two types", "train", "counts"]

_NEEDS: dict[Need, str] = {
    "labels": "labels_key",
    "two types": "labels_key with at least two types (of two cells) in train, or without it in real",
    "train": "train",
    "counts": "counts (normalized=False)",
}


@dataclass(frozen=True)
class Metric:
    """One row of the table of :func:`~activa.metrics.evaluate`."""

    compute: Callable[[Comparison], float]
    description: str  # what the number is and which direction is better, in one line
    best: float | None = None  # value of a perfect generator; None for that of a second set of real cells
    needs: tuple[Need, ...] = ()  # what must be given to compute it
    module: str | None = None  # optional package that it imports
    question: str = ""  # what it asks, for readers who do not know the metric
    worst: float = math.inf  # value of the worst possible cells
    two_sided: bool = False  # whether values on both sides of the floor are bad
    squared: bool = False  # whether it is the square of a distance


def to_table(rows: Mapping[str, tuple[float, float, float, str]]) -> pd.DataFrame:
    """The table of metrics by name, from their ``value``, ``floor``, ``best`` and ``description``."""
    columns = ["value", "floor", "best", "description"]
    return pd.DataFrame.from_dict(dict(rows), orient="index", columns=columns).rename_axis("metric")


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
        "Squared maximum mean discrepancy within types, mean over those with 10 cells in each set; lower is better.",
        best=0.0,
        needs=("labels",),
        question="Do the cells of each type lie where real cells of the type lie?",
        worst=2.0,
        squared=True,
    ),
    "wasserstein": Metric(
        lambda c: wasserstein(*c.components, seed=c.seed),
        "Wasserstein-2 distance: best at the floor; above it cells are far from real ones, below they vary too little.",
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
        lambda c: properties.correlation_discrepancy(*c.markers),
        "Frobenius norm of the difference of marker correlations, upper triangle; lower is better, to the floor.",
        needs=("two types",),
        question="Do marker genes go together as they do in real cells?",
    ),
    "correlation_discrepancy_1norm": Metric(
        lambda c: properties.correlation_discrepancy(*c.markers, norm="one"),
        "The same difference in the 1-norm of the paper (largest column sum); lower is better, to the floor.",
        needs=("two types",),
        question="Does every marker gene go with the others as it does in real cells?",
    ),
    "dropout_distance": Metric(
        lambda c: properties.dropout_distance(c.real.counts, c.synthetic.counts),
        "Mean distance between curves of dropout rate against mean count, 0 to 1; lower is better, to the floor.",
        needs=("counts",),
        question="Are as many counts zero as in real cells?",
        worst=1.0,
    ),
    "library_size_distance": Metric(
        lambda c: properties.library_size_distance(c.real.counts, c.synthetic.counts),
        "Wasserstein-1 distance of log total counts per cell; lower is better, to the floor.",
        needs=("counts",),
        question="Do cells have as many counts as real ones?",
    ),
    "genes_per_cell_distance": Metric(
        lambda c: properties.genes_per_cell_distance(c.real.counts, c.synthetic.counts),
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
        lambda c: membership_auc(*c.attacked_components, seed=c.seed),
        "How well closeness to synthetic cells reveals training cells (AUC): 0.5 is not at all; lower is better.",
        best=0.5,
        needs=("train",),
        question="Do the cells reveal who was in the training set?",
        worst=1.0,
    ),
}
"""Metrics by name, in the order of the table."""


def _met_needs(sets: Mapping[str, AnnData], labels_key: str | None, normalized: bool) -> set[Need]:
    """Which needs of metrics these sets meet."""
    met: set[Need] = set() if normalized else {"counts"}
    if "train" in sets:
        met.add("train")
    if labels_key is not None:
        met.add("labels")
        # With two cells of a type, each half of the real cells has one.
        if (sets.get("train", sets["real"]).obs[labels_key].value_counts() >= 2).sum() >= 2:
            met.add("two types")
    return met


def _choose_metrics(metrics: Sequence[str] | None, met: set[Need]) -> dict[str, Metric]:
    """The metrics to compute: all that can be, or those asked for, or an error if one of these cannot be computed."""
    absent = [name for name, metric in METRICS.items() if metric.module and not is_installed(metric.module)]
    extra = "the eval extra: pip install 'activa-sc[eval]'."
    if metrics is None:
        chosen = {name: metric for name, metric in METRICS.items() if met.issuperset(metric.needs)}
        if absent := [name for name in absent if name in chosen]:
            warnings.warn(f"metrics {absent} are left out: they need {extra}", UserWarning, stacklevel=4)
        return {name: metric for name, metric in chosen.items() if name not in absent}
    if not isinstance(metrics, Iterable):
        raise TypeError(f"metrics must be names of {list(METRICS)}, got {metrics!r}.")
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    if unknown := [name for name in names if name not in METRICS]:
        raise ValueError(f"unknown metrics {unknown}; choose from {list(METRICS)}.")
    if not names:
        raise ValueError(f"metrics must name at least one of {list(METRICS)}.")
    for name in names:
        if unmet := [_NEEDS[need] for need in METRICS[name].needs if need not in met]:
            raise ValueError(f"metrics: {name!r} needs {' and '.join(unmet)}. Give that, or leave the metric out.")
        if name in absent:
            raise ImportError(f"metric {name!r} needs {extra}")
    return {name: METRICS[name] for name in names}


def evaluate_sets(
    given: Mapping[str, AnnData | None],
    metrics: Sequence[str] | None = None,
    *,
    normalized: bool,
    seed: int,
    **form: Any,
) -> tuple[pd.DataFrame, dict[str, Cells], Comparison, Comparison]:
    """The table of metrics, all cells of each set (``train`` and ``floor`` may be None), and the two comparisons."""
    check_booleans(normalized=normalized)
    check_integers(seed=seed, least=0, most=MAX_SEED)
    sets: dict = {name: adata for name, adata in given.items() if adata is not None or name in ("real", "synthetic")}
    check_sets(sets, **form)
    chosen = _choose_metrics(metrics, _met_needs(sets, form["labels_key"], normalized))
    cells = read_cells(sets, normalized=normalized, **form)
    comparisons = compare(cells, seed)
    rows = {}
    for name, metric in tqdm(chosen.items(), desc="metrics", leave=False):
        value, at_floor = (metric.compute(comparison) for comparison in comparisons)
        rows[name] = (value, at_floor, at_floor if metric.best is None else metric.best, metric.description)
    return to_table(rows), cells, *comparisons


def evaluate(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str | None = None,
    layer: str | None = None,
    train: AnnData | None = None,
    floor: AnnData | None = None,
    metrics: Sequence[str] | None = None,
    normalized: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare synthetic cells with real ones, next to the values of a second set of real cells.

    The real cells are split into two halves, type by type. The synthetic cells (``value``) and the second half
    (``floor``) are each compared with the first half, with the same number of cells. No generator can be expected to be
    better than the floor. Generate types in the proportions of ``real``, or the metrics also measure the proportions.

    Cells are compared as log1p of counts scaled to 10,000, over the 2,000 genes with the largest variance in ``train``
    (or the first half of ``real``) and 50 principal components, fitted to at most 20,000 cells of ``train``; for the
    random forest, and without ``train``, to both compared sets together. For thousands of cells per set, metrics with
    quadratic cost are estimates; see their ``max_cells``. Global random state is not changed.

    Parameters
    ----------
    real, synthetic, labels_key, layer
        Held-out real cells (cells x genes of counts), and generated cells with the same genes, in any order; column of
        ``obs`` with the types, which some metrics need, and layer of the counts (None: ``X``), in every set.
    train, floor
        The generator's training cells, which add the copying metrics; and more held-out cells, not to split ``real``.
    metrics
        Keys of :data:`activa.metrics.METRICS`; by default all that can be computed. Without the ``eval`` extra, its
        metrics are left out with a warning; an ImportError if they are named.
    normalized, seed
        Whether all sets hold log1p of counts scaled to 10,000 instead of counts, and the random seed.

    Returns
    -------
    One row per metric (index ``metric``): ``value`` of the synthetic cells, ``floor`` of real cells, ``best`` value of
    a perfect generator, and ``description``. Values that cannot be computed are NaN.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a set lacks ``labels_key``, ``layer``, cells, types or genes of ``real``; holds values that are negative, not
        finite or (without ``normalized=True``) not whole; if fewer than five cells are left; or if a metric cannot be
        computed.

    Examples
    --------
    >>> evaluate(held_out, synthetic, labels_key="cell_type", train=train)  # doctest: +SKIP
    """
    sets = {"real": real, "synthetic": synthetic, "floor": floor, "train": train}
    form = {"labels_key": labels_key, "layer": layer}
    return evaluate_sets(sets, metrics, normalized=normalized, seed=seed, **form)[0]
