"""Whether generated cells help a classifier to recognize a type of which few cells are known."""

from __future__ import annotations

import csv
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import t
from tqdm.auto import tqdm

from activa.arguments import check_choices, check_integers, check_numbers
from activa.data import Cells, check_sets, read_cells
from activa.experiments.added_cells import METHODS, AugmentationRun, Method
from activa.io.atomic import atomic_file, check_free
from activa.optional import import_optional
from activa.seeds import check_seed

_COLUMNS: dict[str, type] = {
    **{"label": str, "kept": int, "seed": int, "method": str},
    **{"f1": float, "precision": float, "recall": float, "seconds": float},
}
_KEYS = ("seed", "kept", "method")


@dataclass(frozen=True)
class Protocol:
    """Settings that all rows of one table share."""

    label: str
    n_generated: int
    test_fraction: float
    n_trees: int
    max_epochs: int | None
    scvi_max_epochs: int | None
    data: int
    """Checksum of counts, types and genes."""

    def __post_init__(self) -> None:
        check_numbers(above=0, below=1, test_fraction=self.test_fraction)
        check_integers(n_generated=self.n_generated, n_trees=self.n_trees)
        check_integers(optional=True, max_epochs=self.max_epochs, scvi_max_epochs=self.scvi_max_epochs)

    def n_test(self, n_cells: int) -> int:
        """Cells of a type to hold out: at least one, but not the last."""
        return min(max(round(self.test_fraction * n_cells), 1), n_cells - 1)

    def split(self, types: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Training and test cells, the same share of every type, in random order within each type."""
        rng = np.random.default_rng(seed)
        of_types = [rng.permutation(np.flatnonzero(types == label)) for label in np.unique(types)]
        train = [cells[self.n_test(len(cells)) :] for cells in of_types]
        return np.concatenate(train), np.concatenate([cells[: self.n_test(len(cells))] for cells in of_types])


def augmentation(
    adata: AnnData,
    *,
    labels_key: str,
    label: str | None = None,
    layer: str | None = None,
    keep: Sequence[int | float] = (50, 20, 10, 5),
    n_generated: int = 1500,
    methods: Sequence[Method] = METHODS,
    seeds: int | Sequence[int] = 5,
    test_fraction: float = 0.2,
    n_trees: int = 500,
    max_epochs: int | None = None,
    scvi_max_epochs: int | None = None,
    path: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """F1 of a type made rare, with and without added cells.

    For each seed, cells of every type are held out, and only a few of the other cells of one type are kept. A random forest
    (Gini, square root of the features per split) learns all types from the kept training cells, and from those with
    ``n_generated`` cells of the type added. Its features are 50 principal components of the kept training cells (log1p of
    counts scaled to 10,000, the 2,000 genes of largest variance). Models learn from the kept training cells, once per seed
    and number kept. Fewer kept cells are a subset of more.

    Parameters
    ----------
    adata, labels_key, layer
        Cells x genes of counts, the column of ``obs`` with the types, and the layer of the counts (None: ``X``).
    label
        The type made rare. None: the type with most cells.
    keep
        Training cells of the type to keep, as numbers (int) or shares (float; the paper's are 0.1, 0.05, 0.01 and 0.005).
    n_generated
        Cells that each method adds.
    methods
        ``"none"``; ``"activa"``: cells of :class:`activa.ACTIVA`; and controls that the paper lacks: ``"oversampling"``: kept
        cells with replacement; ``"smote"``: points between neighbors; ``"gaussian"``: points around the kept cells' mean,
        with the other types' spread; ``"scvi_counts"``: counts of scVI's posterior predictive of the kept cells;
        ``"scvi_rates"``: the rates there.
    seeds
        Number of runs (seeds 0, 1, ...) or their seeds.
    test_fraction, n_trees
        Share of each type to hold out, and trees per forest.
    max_epochs, scvi_max_epochs
        Epochs of ACTIVA and scVI. None: their defaults. All else is at its defaults, except that scVI holds out no cells.
    path
        CSV file to write results to as they come, below a line of settings. Results that it has are not computed again.

    Returns
    -------
    One row per seed, number kept and method: ``label``, ``kept`` (cells), ``seed``, ``method``, ``f1``, ``precision`` and
    ``recall`` of the type among test cells, and ``seconds`` to make the cells, with training. SMOTE of one cell is NaN.

    Raises
    ------
    TypeError, KeyError, ValueError
        Before any work, if the cells are not labeled, nonempty counts of at least two types; if an argument is out of range;
        or if ``path`` holds results of other data or settings.
    FileNotFoundError, ImportError
        If the folder of ``path`` does not exist; without imbalanced-learn for SMOTE, of the ``experiments`` extra.

    References
    ----------
    Heydari et al. 2022, doi:10.1093/bioinformatics/btac095, section 3.4; Marouf et al. 2020, doi:10.1038/s41467-019-14018-z.

    Examples
    --------
    >>> augmentation(adata, labels_key="cell_type", keep=(0.1, 0.01), path="augmentation.csv")  # doctest: +SKIP
    """
    cells = _read_labeled(adata, labels_key, layer)
    n_cells = pd.Series(cells.types).value_counts().to_dict()
    label = str(next(iter(n_cells)) if label is None else label)
    if label not in n_cells:
        raise ValueError(f"label must be a type of labels_key={labels_key!r} ({sorted(n_cells)}), got {label!r}.")
    data = _checksum(adata, cells)
    protocol = Protocol(label, n_generated, test_fraction, n_trees, max_epochs, scvi_max_epochs, data)
    keys = _runs(seeds, _kept_counts(keep, label, n_cells[label] - protocol.n_test(n_cells[label])), methods)
    rows = _compute(protocol, cells, adata.var_names, keys, None if path is None else Path(path))
    return pd.DataFrame([rows[key] for key in keys], columns=list(_COLUMNS))


def _compute(
    protocol: Protocol, cells: Cells, genes: pd.Index, keys: list[tuple], path: Path | None
) -> dict[tuple, dict[str, Any]]:
    """Rows by seed, number kept and method: those that the file has, and those that it lacks."""
    rows = {} if path is None else _read_rows(path, protocol)
    missing = [key for key in keys if key not in rows]
    with tqdm(total=len(keys), initial=len(keys) - len(missing), desc="Augmentation", unit="run") as progress:
        for (seed, kept), of_run in groupby(missing, lambda key: key[:2]):
            train, test = protocol.split(cells.types, seed)
            is_own = cells.types[train] == protocol.label
            few = np.concatenate([train[is_own][:kept], train[~is_own]])
            options = protocol.n_generated, seed, protocol.max_epochs, protocol.scvi_max_epochs
            run = AugmentationRun(cells.take(few), cells.take(test), genes, protocol.label, *options)
            for *_, method in of_run:
                progress.set_postfix(seed=seed, kept=kept, method=method)
                about = {"label": protocol.label, "kept": kept, "seed": seed, "method": method}
                rows[seed, kept, method] = about | run.scores(method, protocol.n_trees)
                if path is not None:
                    table = pd.DataFrame(list(rows.values()), columns=list(_COLUMNS))
                    with atomic_file(path, overwrite=True, what="results") as part:
                        settings = f"# {json.dumps(asdict(protocol))}\n"
                        part.write_text(settings + table.to_csv(index=False, na_rep="nan"), encoding="utf-8")
                progress.update()
    return rows


def _read_rows(path: Path, protocol: Protocol) -> dict[tuple, dict[str, Any]]:
    """Rows of the file by seed, number kept and method, checked."""
    check_free(path, overwrite=True, what="results")
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            found = dict(json.loads(file.readline().removeprefix("# ")))
            rows = [{name: kind(row[name]) for name, kind in _COLUMNS.items()} for row in csv.DictReader(file)]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"path must be a file of this experiment, got {str(path)!r}: give another path.") from error
    settings = asdict(protocol)
    if differ := sorted(key for key in {*found, *settings} if found.get(key) != settings.get(key)):
        told = ", ".join(f"{key}={found.get(key)!r} there, {settings.get(key)!r} here" for key in differ)
        raise ValueError(f"path={str(path)!r} holds results of other settings ({told}): give another path.")
    return {tuple(row[key] for key in _KEYS): row for row in rows}


def _read_labeled(adata: AnnData, labels_key: str, layer: str | None) -> Cells:
    check_sets({"adata": adata}, labels_key, layer)
    cells = read_cells({"adata": adata}, labels_key=labels_key, layer=layer, normalized=False)["adata"]
    if empty := int((cells.log_expression.getnnz(axis=1) == 0).sum()):
        raise ValueError(f"adata must have no empty cells, got {empty}: remove them with scanpy.pp.filter_cells.")
    if len(types := set(cells.types)) < 2:
        raise ValueError(f"labels_key={labels_key!r} must have at least two types, got {sorted(types)}.")
    return cells


def _runs(seeds: int | Sequence[int], kept_counts: list[int], methods: Sequence[Method]) -> list[tuple]:
    """Seed, number kept and method of each run, checked."""
    for method in methods:
        check_choices(methods=(method, Method))
    seeds = [check_seed(seed) for seed in (range(seeds) if isinstance(seeds, int) else seeds)]
    for name, some in {"methods": methods, "seeds": seeds, "keep": kept_counts}.items():
        if not len(some):
            raise ValueError(f"{name} must name at least one, got none.")
    if "smote" in methods:
        import_optional("imblearn", "method 'smote'", extra="experiments")
    unique = {(seed, kept, method): None for seed in seeds for kept in kept_counts for method in methods}
    return list(unique)


def _kept_counts(keep: Sequence[int | float], label: str, n_train: int) -> list[int]:
    """Numbers of cells to keep."""
    counts = []
    for value in keep:
        is_share = isinstance(value, float | np.floating)
        count = round(value * n_train) if is_share else int(value)
        if not 1 <= count <= n_train or (is_share and value > 1):
            raise ValueError(
                f"keep must be whole numbers from 1 to {n_train}, the training cells of {label!r}, or shares of them of at "
                f"least one cell and at most 1.0, got {value!r}."
            )
        counts.append(count)
    return counts


def _checksum(adata: AnnData, cells: Cells) -> int:
    """Checksum of counts, types and genes."""
    x, checksum = cells.log_expression, 0
    for values in (x.data, x.indices, x.indptr):
        checksum = zlib.crc32(np.ascontiguousarray(values), checksum)
    return zlib.crc32("\n".join([*cells.types, *adata.var_names.astype(str)]).encode(), checksum)


def augmentation_gain(table: pd.DataFrame) -> pd.DataFrame:
    """How much higher F1 is with added cells than without, and than with copies of the kept cells.

    A gain is the difference between two methods of one seed and number kept. Its mean has a 95% interval of Student's t
    over seeds, which vary independently; numbers kept share the split of their seed, so the gains of a seed are averaged
    before the interval over all numbers is taken.

    Parameters
    ----------
    table
        The table of :func:`activa.experiments.augmentation`.

    Returns
    -------
    One row per method, reference and number kept, and one over all numbers, where ``kept`` is missing: ``method``,
    ``reference`` (``"none"`` or ``"oversampling"``, if the table has it), ``kept``, ``gain`` (of F1), ``lower`` and ``upper``
    (NaN with one seed), and ``seeds``, their number. Runs without an F1 are left out.

    Raises
    ------
    ValueError
        If it is not such a table, or has two rows of one seed, number kept and method.

    Examples
    --------
    >>> table = pd.DataFrame({"method": ["none", "activa"], "kept": 5, "seed": 0, "f1": [0.25, 0.75]})
    >>> float(augmentation_gain(table)["gain"].iloc[0])
    0.5
    """
    if absent := [column for column in ("method", "kept", "seed", "f1") if column not in table]:
        raise ValueError(f"table lacks {absent}: give the table of activa.experiments.augmentation.")
    if table.duplicated(list(_KEYS)).any():
        raise ValueError("table has several rows of one seed, number kept and method: give one run at a time.")
    wide = table.pivot(index=["kept", "seed"], columns="method", values="f1")
    rows = []
    for reference in (name for name in ("none", "oversampling") if name in wide):
        for method in (name for name in table["method"].unique() if name not in ("none", reference)):
            gains = (wide[method] - wide[reference]).dropna()
            of_kept = {kept: gains.xs(kept, level="kept") for kept in sorted(gains.index.unique("kept"), reverse=True)}
            for kept, values in {**of_kept, pd.NA: gains.groupby(level="seed").mean()}.items():
                mean, n = values.mean(), len(values)
                half = t.ppf(0.975, n - 1) * values.sem() if n > 1 else np.nan
                rows.append((method, reference, kept, mean, mean - half, mean + half, n))
    columns = ["method", "reference", "kept", "gain", "lower", "upper", "seeds"]
    return pd.DataFrame(rows, columns=columns).astype({"kept": "Int64"})
