"""Whether generated cells help a classifier recognize a type of which few cells are known."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from activa.data import Cells, check_sets, read_cells
from activa.experiments._augmentation_run import METHODS, AugmentationRun, Method
from activa.experiments._results_file import ResultsFile
from activa.optional import import_optional
from activa.seeds import check_seed

_COLUMNS: dict[str, type] = {
    "label": str, "kept": int, "seed": int, "method": str, "f1": float, "precision": float, "recall": float,
    "seconds": float,
}  # fmt: skip


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
    """F1 of a type made rare, with and without cells added to the few.

    For each seed, cells of every type are held out for testing, and of one type only a few of the others are kept. A random
    forest is trained to tell all types apart (Gini, square root of the features a split), on the kept training cells and
    on those with ``n_generated`` cells of the type added. The features are 50 principal components fitted on the kept
    training cells alone (log1p of counts scaled to 10,000, the 2,000 genes of largest variance). Models are trained on the
    kept training cells, once for each seed and number kept. With fewer kept, the cells are some of those with more kept.

    Parameters
    ----------
    adata
        Cells x genes of counts. It is not changed.
    labels_key
        Column of ``obs`` with the types.
    label
        The type made rare; by default the one with most cells.
    layer
        Layer of the counts; ``X`` by default.
    keep
        How many training cells of the type are kept, as numbers (int) or as shares of them (float). The paper's are 0.1,
        0.05, 0.01 and 0.005.
    n_generated
        Cells that each method adds.
    methods
        ``"none"``: nothing is added; ``"activa"``: cells that :class:`activa.ACTIVA` generates. Controls that the paper
        lacks: ``"oversampling"``: kept cells drawn with replacement; ``"smote"``: points between neighbors among them, in
        the components; ``"gaussian"``: points around their mean, spread as the other types' cells are around theirs, no
        model of genes at all; ``"scvi_counts"``: counts drawn from scVI's posterior predictive of the kept cells;
        ``"scvi_rates"``: the rates there, without the noise of counting.
    seeds
        How many runs (seeds 0, 1, ...) or their seeds. A seed decides the split, the kept cells and all that follows.
    test_fraction
        Share of each type that is held out.
    n_trees
        Trees of a forest.
    max_epochs, scvi_max_epochs
        Epochs of ACTIVA and scVI; their defaults for None. All else is at its defaults, but that scVI, as ACTIVA, is trained
        on all kept cells.
    path
        CSV file to which results are written as they come. Where it is there already, what it holds is not computed again,
        so that a run can be gone on with, or more seeds, methods or kept numbers be added. Above the table it has a line
        with the settings (``pandas.read_csv(path, skiprows=1)``).

    Returns
    -------
    A row a seed, number kept and method: ``label``, ``kept`` (cells), ``seed``, ``method``, ``f1``, ``precision`` and
    ``recall`` of the type among test cells, and ``seconds`` that it took to make the cells, training included. SMOTE of one
    kept cell is NaN: there is nothing between.

    Raises
    ------
    TypeError, KeyError, ValueError
        Before any work begins: if ``adata`` has no such layer, labels or type, values that are no counts, empty cells, or
        fewer than two types; if no cells or more than there are would be kept, a method is unknown, a number is out of
        range, or ``path`` holds results of other data or settings.
    ImportError
        Without imbalanced-learn for SMOTE, which the ``experiments`` extra installs.

    References
    ----------
    Section 3.4 and Heydari et al. 2022, doi:10.1093/bioinformatics/btac095; the protocol is of Marouf et al.
    2020, doi:10.1038/s41467-019-14018-z.

    Examples
    --------
    >>> table = augmentation(adata, labels_key="cell_type", keep=(0.1, 0.01), path="augmentation.csv")
    >>> activa.experiments.augmentation_gain(table)
    >>> activa.pl.augmentation(table)
    """
    cells = _read(adata, labels_key, layer)
    n_cells = pd.Series(cells.types).value_counts()
    label = str(n_cells.index[0] if label is None else label)
    if label not in n_cells:
        raise ValueError(f"label={label!r} is no type of labels_key={labels_key!r}, which has {sorted(n_cells.index)}.")
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction must be between 0 and 1, got {test_fraction}.")
    if unknown := [method for method in methods if method not in METHODS]:
        raise ValueError(f"methods {unknown} are unknown; choose from {list(METHODS)}.")
    numbers = {
        "n_generated": n_generated, "n_trees": n_trees, "max_epochs": max_epochs, "scvi_max_epochs": scvi_max_epochs
    }  # fmt: skip
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    methods = list(dict.fromkeys(methods))
    seeds = list(dict.fromkeys(check_seed(seed) for seed in (range(seeds) if isinstance(seeds, int) else seeds)))
    kept_counts = _kept_counts(keep, label, n_cells[label] - _n_test(n_cells[label], test_fraction))
    asked: dict[str, list] = {"methods": methods, "seeds": seeds, "keep": kept_counts}
    for name, some in asked.items():
        if not some:
            raise ValueError(f"{name} must name at least one.")
    if "smote" in methods:
        import_optional("imblearn", "method 'smote'", extra="experiments")
    settings = {
        "label": label, "n_generated": int(n_generated), "test_fraction": float(test_fraction), "n_trees": int(n_trees),
        "max_epochs": max_epochs, "scvi_max_epochs": scvi_max_epochs, "data": _checksum(adata, cells),
    }  # fmt: skip
    results = ResultsFile(path, settings=settings, columns=_COLUMNS, keys=["seed", "kept", "method"])

    keys = [(seed, kept, method) for seed in seeds for kept in kept_counts for method in methods]
    with tqdm(
        total=len(keys), initial=sum(key in results for key in keys), desc="Augmentation", unit="run"
    ) as progress:
        for seed in seeds:
            train, test = _split(cells.types, test_fraction, seed)
            own = train[cells.types[train] == label]
            for kept in kept_counts:
                missing = [method for method in methods if (seed, kept, method) not in results]
                if not missing:
                    continue
                few = np.concatenate([own[:kept], train[cells.types[train] != label]])
                run = AugmentationRun(cells.take(few), cells.take(test), adata.var_names, label, n_generated, seed)
                for method in missing:
                    progress.set_postfix(seed=seed, kept=kept, method=method)
                    scores = run.scores(method, n_trees, max_epochs, scvi_max_epochs)
                    results.add({"label": label, "kept": kept, "seed": seed, "method": method} | scores)
                    progress.update()
    return pd.DataFrame([results[key] for key in keys], columns=list(_COLUMNS))


def _read(adata: AnnData, labels_key: str, layer: str | None) -> Cells:
    if not isinstance(adata, AnnData):
        raise TypeError(f"adata must be an AnnData, found {type(adata).__name__}.")
    check_sets({"adata": adata}, labels_key, layer)
    cells = read_cells({"adata": adata}, labels_key=labels_key, layer=layer, normalized=False)["adata"]
    if empty := int((cells.log_expression.getnnz(axis=1) == 0).sum()):
        raise ValueError(f"adata has {empty} cells without counts: drop them with scanpy.pp.filter_cells.")
    if len(types := set(cells.types)) < 2:
        raise ValueError(f"labels_key={labels_key!r} must tell at least two types apart, found {sorted(types)}.")
    return cells


def _kept_counts(keep: Sequence[int | float], label: str, n_train: int) -> list[int]:
    """Numbers of cells, the same one once."""
    counts = []
    for value in keep:
        is_share = isinstance(value, float | np.floating)
        count = round(value * n_train) if is_share else int(value)
        if not 1 <= count <= n_train or (is_share and value > 1):
            raise ValueError(
                f"keep={value!r} of the {n_train} training cells of {label!r} would be {count}: give whole numbers from 1 "
                f"to {n_train}, or shares of them that are at least one cell and at most 1.0."
            )
        counts.append(count)
    return list(dict.fromkeys(counts))


def _n_test(n_cells: int, fraction: float) -> int:
    """Cells of a type to hold out: one at least, but not the last."""
    return min(max(round(fraction * n_cells), 1), n_cells - 1)


def _split(types: np.ndarray, test_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test cells, the same share of every type, each type's in random order."""
    rng = np.random.default_rng(seed)
    train, test = [], []
    for label in np.unique(types):
        cells = rng.permutation(np.flatnonzero(types == label))
        n_test = _n_test(len(cells), test_fraction)
        test.append(cells[:n_test])
        train.append(cells[n_test:])
    return np.concatenate(train), np.concatenate(test)


def _checksum(adata: AnnData, cells: Cells) -> int:
    """Of counts, types and genes, to tell whether a file's results are of these data."""
    x = cells.log_expression
    checksum = 0
    for values in (x.data, x.indices, x.indptr):
        checksum = zlib.crc32(np.ascontiguousarray(values), checksum)
    return zlib.crc32("\n".join([*cells.types, *adata.var_names.astype(str)]).encode(), checksum)
