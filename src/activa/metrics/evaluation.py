"""The comparison of synthetic with real cells, next to a second set of real cells."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from activa.arguments import check_booleans, check_integers
from activa.data import Cells, check_sets, halves, read_cells
from activa.metrics.registry import METRICS, Comparison, Metric, Need, tabulate
from activa.metrics.space import Space
from activa.optional import is_installed
from activa.seeds import MAX_SEED

_MIN_CELLS = 5

_NEEDS: dict[Need, str] = {
    "labels": "labels_key",
    "two types": "labels_key with at least two types (of two cells) in train, or without it in real",
    "train": "train",
    "counts": "counts (normalized=False)",
}


class Evaluation(NamedTuple):
    """The table of metrics, and what it was computed from."""

    table: pd.DataFrame
    cells: dict[str, Cells]
    """All cells of each set."""
    synthetic: Comparison
    """Synthetic cells next to as many real cells."""
    floor: Comparison
    """Other real cells in place of the synthetic ones."""


def _met_needs(sets: Mapping[str, AnnData], labels_key: str | None, normalized: bool) -> set[Need]:
    """Which needs of metrics these sets meet."""
    met: set[Need] = set()
    if "train" in sets:
        met.add("train")
    if not normalized:
        met.add("counts")
    if labels_key is not None:
        met.add("labels")
        # With two cells of a type, each half of the real cells has one.
        if (sets.get("train", sets["real"]).obs[labels_key].value_counts() >= 2).sum() >= 2:
            met.add("two types")
    return met


def _choose_metrics(metrics: Sequence[str] | None, met: set[Need]) -> dict[str, Metric[Comparison]]:
    """The metrics to compute: all that can be, or those asked for, or an error if one of these cannot be computed."""
    if metrics is None:
        chosen = [name for name, metric in METRICS.items() if met.issuperset(metric.needs)]
    else:
        if not isinstance(metrics, Iterable):
            raise TypeError(f"metrics must name at least one of {list(METRICS)}, got {metrics!r}.")
        chosen = [metrics] if isinstance(metrics, str) else list(metrics)
        if not chosen:
            raise ValueError(f"metrics must name at least one of {list(METRICS)}, got {metrics!r}.")
        if unknown := [name for name in chosen if name not in METRICS]:
            raise ValueError(f"unknown metrics {unknown}; choose from {list(METRICS)}.")
        for name in chosen:
            if unmet := [_NEEDS[need] for need in METRICS[name].needs if need not in met]:
                raise ValueError(
                    f"metrics: {name!r} needs {' and '.join(unmet)}. Give what it needs, or leave the metric out."
                )
    absent = [name for name in chosen if (module := METRICS[name].module) and not is_installed(module)]
    if absent and metrics is not None:
        raise ImportError(f"metrics {absent} need the eval extra: pip install 'activa-sc[eval]'")
    if absent:
        message = f"metrics {absent} are left out: they need the eval extra, pip install 'activa-sc[eval]'"
        warnings.warn(message, UserWarning, stacklevel=4)
    return {name: METRICS[name] for name in chosen if name not in absent}


def same_size(sets: Sequence[Cells], rng: np.random.Generator) -> list[Cells]:
    """All sets subsampled to the size of the smallest."""
    size = min(len(cells) for cells in sets)
    if size < _MIN_CELLS:
        raise ValueError(
            f"there are {size} cells to compare; give at least {_MIN_CELLS} in real (in each half of it, without floor), "
            "synthetic and floor."
        )
    return [cells.subsample(size, rng) for cells in sets]


def compare(cells: Mapping[str, Cells], seed: int) -> tuple[Comparison, Comparison]:
    """Synthetic cells, and other real cells in their place, each next to as many real cells."""
    rng = np.random.default_rng(seed)
    first, second = cells["real"], cells.get("floor")
    if second is None:
        first, second = (cells["real"].take(half) for half in halves(len(first), rng, first.labels))
    space = Space(cells.get("train", first), seed)
    first, synthetic, second = same_size([first, cells["synthetic"], second], rng)
    has_train = "train" in cells
    return Comparison(first, synthetic, space, has_train, seed), Comparison(first, second, space, has_train, seed)


def evaluate_sets(
    given: Mapping[str, AnnData | None],
    *,
    labels_key: str | None,
    layer: str | None,
    metrics: Sequence[str] | None = None,
    normalized: bool,
    seed: int,
) -> Evaluation:
    """Check, read and compare the sets ``real``, ``synthetic``, ``floor`` and ``train``; the last two may be None."""
    check_booleans(normalized=normalized)
    check_integers(seed=seed, least=0, most=MAX_SEED)
    optional = ("floor", "train")
    sets: dict = {name: adata for name, adata in given.items() if adata is not None or name not in optional}
    check_sets(sets, labels_key, layer)
    chosen = _choose_metrics(metrics, _met_needs(sets, labels_key, normalized))
    cells = read_cells(sets, labels_key=labels_key, layer=layer, normalized=normalized)
    comparisons = compare(cells, seed)
    return Evaluation(tabulate(chosen, *comparisons), cells, *comparisons)


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
    better than the floor. Generate types in the proportions of ``real``, or the metrics also measure the difference in
    proportions.

    Cells are compared as log1p of counts scaled to 10,000, over the 2,000 genes with the largest variance in ``train``
    (or the first half of ``real``) and 50 principal components. The components are fitted to at most 20,000 cells of
    ``train``; for the random forest, and without ``train``, to both compared sets together. Batches are not corrected,
    which would hide differences. For thousands of cells per set, metrics with quadratic cost are estimates; their
    ``max_cells`` states from which number on, and the error.

    Parameters
    ----------
    real
        Held-out real cells, which the generator has not seen: cells x genes of counts.
    synthetic
        Generated cells with the same genes, in any order.
    labels_key
        Column of ``obs`` with the types, in every set. Without it, metrics that need types are left out.
    layer
        Layer of the counts in every set; ``X`` by default.
    train
        The cells that the generator was trained on. Adds the copying metrics.
    floor
        A second set of held-out real cells; ``real`` is then not split.
    metrics
        Names of metrics (keys of :data:`activa.metrics.METRICS`); by default all that can be computed.
    normalized
        Whether all sets hold log1p of counts scaled to 10,000 per cell, for generators that do not generate counts.
        Leaves out the metrics of counts.
    seed
        Random seed for the split, the subsampling and the metrics. Global random state is not changed.

    Returns
    -------
    A table with one row per metric (index ``metric``): ``value`` of the synthetic cells, ``floor`` of real cells,
    ``best`` value of a perfect generator, and ``description``. A value is NaN if it cannot be computed, for example
    if all types have fewer than ten cells.

    Raises
    ------
    KeyError
        If ``labels_key`` or ``layer`` is not in one of the sets.
    TypeError
        If a set is not an AnnData of numbers, or if another argument has the wrong type.
    ValueError
        If a set is empty, lacks genes of ``real`` or types, or holds values that are negative, not finite or (without
        ``normalized=True``) not whole; if fewer than five cells are left to compare; if a metric is unknown or lacks
        what it needs.
    ImportError
        If a metric of the ``eval`` extra is asked for by name and not installed. By default it is left out with a
        warning.

    Examples
    --------
    >>> adata = activa.datasets.pbmc68k_reduced()  # doctest: +SKIP
    >>> held_out, train = adata[:300], adata[300:]  # doctest: +SKIP
    >>> evaluate(held_out, synthetic, labels_key="cell_type", train=train)  # doctest: +SKIP
    """
    sets = {"real": real, "synthetic": synthetic, "floor": floor, "train": train}
    return evaluate_sets(
        sets, labels_key=labels_key, layer=layer, metrics=metrics, normalized=normalized, seed=seed
    ).table
