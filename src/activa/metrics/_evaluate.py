import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from activa.arguments import check_booleans, check_integers
from activa.data import Cells, check_sets, halves, read_cells
from activa.optional import is_installed
from activa.seeds import MAX_SEED

from ._registry import METRICS, Comparison, Need
from ._space import Space

_MIN_CELLS = 5

_NEEDS: dict[Need, str] = {
    "labels": "labels_key",
    "two types": "labels_key with at least two types (of two cells) in train, or without it in real",
    "train": "train",
    "counts": "counts (normalized=False)",
}


def met(real: AnnData, train: AnnData | None, labels_key: str | None, normalized: bool) -> set[Need]:
    """What the metrics can count on."""
    met: set[Need] = set()
    if train is not None:
        met.add("train")
    if not normalized:
        met.add("counts")
    if labels_key is not None:
        met.add("labels")
        # With two cells of a type, each half of the real cells has one.
        if ((real if train is None else train).obs[labels_key].value_counts() >= 2).sum() >= 2:
            met.add("two types")
    return met


def choose(metrics: Sequence[str] | None, met: set[Need]) -> list[str]:
    """Names of the metrics to compute, after checking that those asked for can be."""
    if metrics is not None:
        if not isinstance(metrics, Iterable) or not metrics:
            msg = f"metrics must name at least one of {list(METRICS)}, got {metrics!r}."
            raise (ValueError if isinstance(metrics, Iterable) else TypeError)(msg)
        metrics = [metrics] if isinstance(metrics, str) else list(metrics)
        if unknown := [name for name in metrics if name not in METRICS]:
            msg = f"unknown metrics {unknown}; choose from {list(METRICS)}."
            raise ValueError(msg)
    chosen = []
    for name in METRICS if metrics is None else metrics:
        unmet = [need for need in METRICS[name].needs if need not in met]
        if not unmet:
            chosen.append(name)
        elif metrics is not None:
            msg = f"metrics: {name!r} needs {' and '.join(_NEEDS[need] for need in unmet)}. Give it, or leave the metric out."
            raise ValueError(msg)
    absent = [name for name in chosen if (module := METRICS[name].module) and not is_installed(module)]
    if absent and metrics is not None:
        msg = f"metrics {absent} need the eval extra: pip install 'activa-sc[eval]'"
        raise ImportError(msg)
    if absent:
        warnings.warn(
            f"metrics {absent} are left out: they need the eval extra, pip install 'activa-sc[eval]'",
            UserWarning,
            stacklevel=3,
        )
    return [name for name in chosen if name not in absent]


def _same_size(sets: Sequence[Cells], rng: np.random.Generator) -> list[Cells]:
    size = min(len(cells) for cells in sets)
    if size < _MIN_CELLS:
        msg = (
            f"there are {size} cells to compare; real (each half of it, without floor), synthetic and floor need "
            f"at least {_MIN_CELLS}."
        )
        raise ValueError(msg)
    return [cells.draw(size, rng) for cells in sets]


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
    """Compare synthetic cells with real ones, beside what a second set of real cells scores.

    The real cells are split in two, type by type; the synthetic cells (``value``) and the second half (``floor``) are
    each compared with the first half, with the same number of cells. A generator cannot be expected to do better than
    the floor. Generate the types in the proportions that ``real`` has them, or the difference in proportions is
    measured as well.

    Cells are compared as log1p of counts scaled to 10,000, over the 2,000 genes of largest variance in ``train`` (or
    the first half of ``real``) and 50 principal components. These are fitted on ``train``; for the random forest, and
    without ``train``, on the two sets that are compared together. No batch correction is made, which would hide
    differences.

    Above some thousand cells a side, metrics that cost the square of the cells are estimated from drawn cells or from
    blocks of them, in the value and the floor alike; their ``max_cells`` states from where on and with which error. The
    components are fitted on 20,000 cells at most.

    Parameters
    ----------
    real
        Held-out real cells, which the generator has not seen: cells x genes of counts.
    synthetic
        Generated cells with the same genes, in any order.
    labels_key
        Column of ``obs`` with the types, in every set. Without it the metrics that need types are left out.
    layer
        Layer of the counts in every set; ``X`` by default.
    train
        The cells that the generator was trained on. Adds the copying metrics.
    floor
        A second set of held-out real cells; ``real`` is then not split.
    metrics
        Names of metrics (keys of :data:`activa.metrics.METRICS`); all that apply by default.
    normalized
        All sets hold log1p of counts scaled to 10,000 a cell, for generators that make no counts. Leaves out the
        metrics of counts.
    seed
        Seed of the split, the draws and the metrics. Global random state is left alone.

    Returns
    -------
    A table with one row a metric (index ``metric``): ``value`` of the synthetic cells, ``floor`` of real cells,
    ``best`` where a perfect generator stands, and ``description``. A value is NaN where nothing could be computed, as
    for types that all have fewer than ten cells.

    Raises
    ------
    KeyError
        If ``labels_key`` or ``layer`` is not in one of the sets.
    ValueError
        If a set has other genes than ``real``, missing types, negative or non-finite values, or values that are not
        whole without ``normalized=True``, or is empty; if fewer than five cells are left to compare; if a metric is unknown, or
        asked for without what it needs.
    TypeError
        If a set is no AnnData of numbers, or an argument of another type than it must be.
    ImportError
        If a metric of the ``eval`` extra is asked for by name and not installed. Otherwise it is left out with a
        warning.

    Examples
    --------
    >>> adata = activa.datasets.pbmc68k_reduced()  # doctest: +SKIP
    >>> held_out, train = adata[:300], adata[300:]  # doctest: +SKIP
    >>> evaluate(held_out, synthetic, labels_key="cell_type", train=train)  # doctest: +SKIP
    """
    optional = {"floor": floor, "train": train}
    check_booleans(normalized=normalized)
    check_integers(seed=seed, least=0, most=MAX_SEED)
    sets = {"real": real, "synthetic": synthetic} | {k: adata for k, adata in optional.items() if adata is not None}
    check_sets(sets, labels_key, layer)
    chosen = choose(metrics, met(real, train, labels_key, normalized))
    return tabulate(chosen, *compare(read_cells(sets, labels_key=labels_key, layer=layer, normalized=normalized), seed))


def compare(cells: dict[str, Cells], seed: int) -> tuple[Comparison, Comparison]:
    """The synthetic cells, and real ones in their place, each beside as many real cells."""
    rng = np.random.default_rng(seed)
    first, second = cells["real"], cells.get("floor")
    if second is None:
        first, second = (cells["real"].take(half) for half in halves(len(first), rng, first.labels))
    space = Space(cells.get("train", first), seed)
    first, made, second = _same_size([first, cells["synthetic"], second], rng)
    has_train = "train" in cells
    return Comparison(first, made, space, has_train, seed), Comparison(first, second, space, has_train, seed)


def tabulate(chosen: Sequence[str], *comparisons: Comparison) -> pd.DataFrame:
    """These metrics of what :func:`compare` gave."""
    rows = {}
    for name in tqdm(chosen, desc="evaluate", leave=False):
        metric = METRICS[name]
        value, at_floor = (metric.compute(comparison) for comparison in comparisons)
        best = at_floor if metric.best is None else metric.best
        rows[name] = {"value": value, "floor": at_floor, "best": best, "description": metric.description}
    columns = ["value", "floor", "best", "description"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("metric")
