"""The comparison of synthetic with real cells: every figure with its spread, next to that of other real cells."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import t

from activa.arguments import check_booleans, check_integers
from activa.data import check_sets, read_cells
from activa.metrics.catalog import METRICS, NEEDS, Metric, Need
from activa.metrics.detection import n_repeats_of
from activa.metrics.estimates import Estimate, mean_of_floors, mean_of_halves, mean_of_repeats
from activa.metrics.proportions import proportion_notes
from activa.metrics.samples import N_SPLITS, Comparison, Splits
from activa.optional import is_installed
from activa.progress import progress
from activa.seeds import MAX_SEED

_MAX_FLOOR = 300  # cells of a half for a classifier's floor, whose mean is known: it is chance
ALARM = 0.05  # chance that real cells are found unlike real cells by any metric


class Refittable(Protocol):
    """A trained generator that can be trained again on its own cells, such as :class:`~activa.ACTIVA`."""

    def generate(self, n: int | None = None, *, labels: Any = None, seed: int | None = None) -> AnnData:
        """Cells of these types."""

    def refit(self, *, seed: int | None = None) -> Refittable:
        """The same generator, trained on as many of its own cells as it was trained on."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What :func:`evaluate` knows of one generator's cells."""

    table: pd.DataFrame
    splits: Splits


def to_table(rows: Mapping[str, tuple[float, float, float, str]]) -> pd.DataFrame:
    """The table of metrics by name, from their ``value``, ``floor``, ``best`` and ``description``."""
    columns = ["value", "floor", "best", "description"]
    return pd.DataFrame.from_dict(dict(rows), orient="index", columns=columns).rename_axis("metric")


def _met_needs(real: AnnData, labels_key: str | None, normalized: bool, has_train: bool) -> set[Need]:
    """Which needs of metrics the sets meet."""
    met: set[Need] = set() if normalized else {"counts"}
    if has_train:
        met.add("train")
    if labels_key is not None:
        met.add("labels")
        # with four cells of a type, nearly every half of the real cells has one
        if (real.obs[labels_key].value_counts() >= 4).sum() >= 2:
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
        if unmet := [NEEDS[need] for need in METRICS[name].needs if need not in met]:
            raise ValueError(f"metrics: {name!r} needs {' and '.join(unmet)}. Give that, or leave the metric out.")
        if name in absent:
            raise ImportError(f"metric {name!r} needs {extra}")
    return {name: METRICS[name] for name in names}


def figures(metric: Metric, splits: Splits) -> tuple[Estimate, Estimate]:
    """The value of the synthetic cells and the floor, that of the real cells' halves in their place."""
    if metric.detects:
        used = splits.splits[: n_repeats_of(len(splits.splits[0].whole.real), N_SPLITS)]
        wholes, halves = [split.whole for split in used], [split.floor.at_most(_MAX_FLOOR) for split in used]
        value = mean_of_repeats(_computed(metric, wholes), len(wholes[0].real) / splits.n_cells)
        # a second set of as many real cells as there are would vary less
        return value, mean_of_repeats(_computed(metric, halves)).scaled(len(halves[0].real) / splits.n_cells)
    coverage = 2 * splits.half / splits.n_cells
    comparisons = [comparison for split in splits.splits for comparison in (*split.values, split.floor)]
    found = _computed(metric, comparisons)
    first, second, floors = (found[start::3] for start in range(3))
    return mean_of_halves(list(zip(first, second, strict=True)), coverage), mean_of_floors(floors, coverage)


def _computed(metric: Metric, comparisons: Sequence[Comparison]) -> list[Any]:
    """The metric's figures, in threads where it allows that."""
    if metric.detects or metric.alone:
        return [metric.compute(comparison) for comparison in comparisons]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(metric.compute, comparisons))


def alarm_threshold() -> float:
    """Standard errors beyond which a metric is unlike real, so that 5% of sets of real cells are by any metric."""
    # the variance is the larger of two estimates, each with a degree of freedom per split
    return float(t.ppf(1 - ALARM / (2 * len(METRICS)), 2 * N_SPLITS))


def _row(metric: Metric, value: Estimate, floor: Estimate) -> dict[str, Any]:
    """A row of the table, from a metric's value and floor."""
    # halves of one set are exchangeable: a classifier's floor is exactly chance, up to noise
    reference = floor.value if metric.best is None or not metric.detects else metric.best
    variance = np.fmax(value.variance, floor.variance)
    difference = value.value - reference
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = float(np.float64(difference) / np.sqrt(variance)) if difference else 0.0
    worse = abs(deviation) if metric.two_sided else -deviation if metric.higher_is_better else deviation
    judgment = "not computed" if np.isnan(deviation) else "unlike real" if worse > alarm_threshold() else "as real"
    low, high = value.interval
    floor_low, floor_high = floor.interval
    return {
        "value": value.value,
        "low": low,
        "high": high,
        "floor": floor.value,
        "floor_low": floor_low,
        "floor_high": floor_high,
        "best": floor.value if metric.best is None else metric.best,
        "deviation": deviation,
        "judgment": judgment,
        "description": metric.description,
    }


def evaluate_sets(
    real: AnnData,
    generators: Mapping[str, AnnData],
    train: AnnData | None = None,
    model: Refittable | None = None,
    metrics: Sequence[str] | None = None,
    *,
    normalized: bool,
    seed: int,
    labels_key: str | None,
    layer: str | None,
) -> dict[str, Evaluation]:
    """The table of metrics of each generator's cells, and the splits that it is of."""
    check_booleans(normalized=normalized)
    check_integers(seed=seed, least=0, most=MAX_SEED)
    sets = {"real": real} | dict(generators) | ({} if train is None else {"train": train})
    check_sets(sets, labels_key=labels_key, layer=layer)
    if model is not None and not (hasattr(model, "generate") and hasattr(model, "refit")):
        raise TypeError(f"model must be a trained generator such as activa.ACTIVA, got {type(model).__name__}.")
    chosen = _choose_metrics(metrics, _met_needs(real, labels_key, normalized, train is not None))
    form: dict[str, Any] = {"labels_key": labels_key, "layer": layer, "normalized": normalized}
    cells = read_cells(sets, **form)
    known = {name: cells[name] for name in ("real", "train") if name in cells}
    refit = None if model is None else _refit_table(chosen, model, real, seed, form)
    evaluations = {}
    for name in generators:
        for note in proportion_notes(cells["real"], cells[name]):
            warnings.warn(f"{name}: {note}" if len(generators) > 1 else note, UserWarning, stacklevel=3)
        splits = Splits(known | {"synthetic": cells[name]}, real.var_names, seed)
        evaluations[name] = Evaluation(_table(chosen, splits), splits)
    if refit is not None:
        for evaluation in evaluations.values():
            at = list(evaluation.table.columns).index("best")
            for offset, column in enumerate(("value", "low", "high")):
                evaluation.table.insert(at + offset, f"refit_{column}".removesuffix("_value"), refit[column])
    return evaluations


def _table(chosen: Mapping[str, Metric], splits: Splits) -> pd.DataFrame:
    rows = {}
    # threads can leave other filters of warnings behind
    with warnings.catch_warnings():
        for name, metric in progress(chosen.items(), desc="metrics"):
            rows[name] = _row(metric, *figures(metric, splits))
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


def _refit_table(
    chosen: Mapping[str, Metric], model: Refittable, real: AnnData, seed: int, form: Mapping[str, Any]
) -> pd.DataFrame:
    """The table of a model that has been trained on cells of the given one, next to fresh cells of that."""
    key = form["labels_key"]
    asked: dict[str, Any] = {"n": real.n_obs} if key is None else {"labels": real.obs[key].astype(str).tolist()}
    truth = model.generate(**asked, seed=seed + 1)
    made = model.refit(seed=seed).generate(**asked, seed=seed + 2)
    cells = read_cells({"real": truth[:, real.var_names], "synthetic": made[:, real.var_names]}, **form)
    without_train = {name: metric for name, metric in chosen.items() if "train" not in metric.needs}
    return _table(without_train, Splits(cells, real.var_names, seed)).reindex(list(chosen))


def evaluate(
    real: AnnData,
    synthetic: AnnData | Mapping[str, AnnData],
    *,
    labels_key: str | None = None,
    layer: str | None = None,
    train: AnnData | None = None,
    model: Refittable | None = None,
    metrics: Sequence[str] | None = None,
    normalized: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare synthetic cells with real ones, next to the figures of other real cells, all with their spread.

    Eight times, both sets are split into random halves. Each half of the synthetic cells is compared with a half of the
    real ones (``value``), and the halves of the real cells with each other (``floor``). Figures are means over all
    splits; the differences between halves, which hold different cells, tell how far they can be trusted. A classifier
    that tells the sets apart reads all cells, in three to eight cross-validations; its floor is 0.5 up to chance. No
    generator can be expected to be better than the floor. Generate types in the proportions of ``real``: a warning tells
    that they differ, as the metrics then measure the proportions too.

    Cells are compared as log1p of counts scaled to 10,000, over the 2,000 genes with the largest variance in ``real``
    and 50 principal components fitted to both sets together. Of sets with more than 2,000 cells, each split
    draws 1,000 for a half. Global random state is not changed.

    Parameters
    ----------
    real, labels_key, layer
        Held-out real cells (cells x genes of counts), at least ten; column of ``obs`` with the types, which some metrics
        need, and layer of the counts (None: ``X``), in every set.
    synthetic
        Generated cells with the same genes, in any order; or a mapping of generators' names to their cells, all compared
        with the same halves of the real ones. Cells of another donor, given as one of them, tell how far donors differ.
    train
        The generators' training cells, which add the metrics of copying and overfitting and change no other figure.
    model
        The trained generator, which adds the refit floor (``refit``, ``refit_low``, ``refit_high``): the generator is
        taken for the truth and trained again on as many of its own cells (``model.refit``). What separates the refit
        floor from the floor is what so few cells cost this kind of model; what a value exceeds it by is what the model
        gets wrong. Takes as long as training.
    metrics
        Keys of :data:`activa.metrics.METRICS`; by default all that can be computed. Without the ``eval`` extra, its
        metrics are left out with a warning; an ImportError if they are named.
    normalized, seed
        Whether all sets hold log1p of counts scaled to 10,000 instead of counts, and the random seed.

    Returns
    -------
    One row per metric (index ``metric``; ``generator`` and ``metric`` for a mapping). ``value`` and ``floor`` with their
    95% intervals (``low``, ``high``, ``floor_low``, ``floor_high``); ``best`` value of a perfect generator; ``deviation``
    of the value from the floor in standard errors; and ``judgment``: "unlike real" if the value is worse than the floor
    beyond chance (real cells are so for any metric in at most 5% of cases), else "as real". Values that cannot be
    computed are NaN, "not computed".

    Raises
    ------
    KeyError, TypeError, ValueError
        If a set lacks ``labels_key``, ``layer``, cells, types or genes of ``real``; holds values that are negative, not
        finite or (without ``normalized=True``) not whole; if there are fewer than ten cells of a set; or if a metric
        cannot be computed.

    References
    ----------
    Splitting into halves after McCarthy 1969, doi:10.2307/1402116; the variance of an area under the curve after DeLong
    et al. 1988, doi:10.2307/2531595.

    Examples
    --------
    >>> evaluate(held_out, synthetic, labels_key="cell_type", train=train)  # doctest: +SKIP
    >>> evaluate(held_out, {"ACTIVA": synthetic, "scVI": other}, labels_key="cell_type")  # doctest: +SKIP
    """
    form: dict[str, Any] = {"labels_key": labels_key, "layer": layer, "normalized": normalized, "seed": seed}
    evaluations = evaluate_sets(real, as_generators(synthetic), train, model, metrics, **form)
    return joined(evaluations, isinstance(synthetic, Mapping))


def as_generators(synthetic: AnnData | Mapping[str, AnnData]) -> dict[str, AnnData]:
    """Cells by the name of their generator; a ValueError if a name is taken by another set."""
    if not isinstance(synthetic, Mapping):
        return {"synthetic": synthetic}
    generators = {str(name): cells for name, cells in synthetic.items()}
    if not generators:
        raise ValueError("synthetic must name at least one generator, got an empty mapping.")
    if taken := {"real", "train"} & set(generators):
        raise ValueError(f"synthetic must not name a generator {sorted(taken)[0]!r}: that is the name of another set.")
    return generators


def joined(evaluations: Mapping[str, Evaluation], named: bool) -> pd.DataFrame:
    """One table of one generator, or of several with their names in the index."""
    if not named:
        return next(iter(evaluations.values())).table
    tables = {name: evaluation.table for name, evaluation in evaluations.items()}
    return pd.concat(tables, names=["generator", "metric"])
