"""Whether generated cells help a classifier to recognize a type of which few cells are known."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix
from scipy.stats import t
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import precision_recall_fscore_support

from activa.arguments import check_choices, check_integers, check_numbers
from activa.data import Cells, log_normalize
from activa.experiments.trainings import model_input, read_labeled, train_configuration
from activa.metrics.space import Space
from activa.optional import import_optional
from activa.pl.output import documented
from activa.progress import progress
from activa.seeds import check_seed

Method = Literal["none", "activa", "oversampling", "smote", "gaussian"]
METHODS: tuple[Method, ...] = get_args(Method)
_N_NEIGHBORS = 5

type AddCells = Callable[[AnnData, str, int, int], Any]


@documented
def augmentation(
    adata: AnnData,
    *,
    labels_key: str,
    label: str | None = None,
    layer: str | None = None,
    keep: Sequence[int | float] = (50, 20, 10, 5),
    n_generated: int = 1500,
    methods: Sequence[Method] = METHODS,
    custom: Mapping[str, AddCells] | None = None,
    seeds: int | Sequence[int] = 5,
    test_fraction: float = 0.2,
    n_trees: int = 500,
    max_epochs: int | None = None,
) -> pd.DataFrame:
    """F1 of a type made rare, with and without added cells (section 3.4 of the paper).

    For each seed, cells of every type are held out, and only a few of the other cells of one type are kept. A random
    forest (Gini, square root of the features per split) learns all types from the kept training cells, and from those
    with ``n_generated`` cells of the type added, in 50 principal components of the kept cells (log1p of counts scaled
    to 10,000, the 2,000 genes of largest variance). Models learn from the kept cells, once per seed and number.

    {parameters, adata}
    label, keep
        The type made rare (None: that with most cells), and training cells of it to keep, as numbers (int) or shares
        (float; the paper's: 0.1, 0.05, 0.01, 0.005).
    methods, n_generated
        ``"none"``, ``"activa"`` (:class:`activa.ACTIVA`), and controls that the paper lacks: ``"oversampling"`` (kept
        cells with replacement), ``"smote"`` (points between neighbors), ``"gaussian"`` (points around the kept cells'
        mean, with the other types' spread); and the number of cells that each adds.
    custom
        Other methods by name, called with the kept training cells (types in ``obs["type"]``), the type, ``n_generated``
        and the seed. They return added cells x genes: counts, or other values without a logarithm.
    seeds, test_fraction, n_trees, max_epochs
        Number of runs or their seeds; share of each type to hold out; trees per forest; epochs of ACTIVA.

    Returns
    -------
    One row per seed, number kept and method: ``label``, ``kept`` (cells), ``seed``, ``method``, ``f1``, ``precision``
    and ``recall`` of the type among test cells (NaN for SMOTE of one cell), and ``seconds`` to make the cells.

    Raises
    ------
    TypeError, KeyError, ValueError, ImportError
        Before any work, if the cells are not labeled, nonempty counts of at least two types, an argument is out of
        range, or imbalanced-learn (``experiments`` extra) is absent for SMOTE.
    {reference, adata_example}
    """
    check_numbers(above=0, below=1, test_fraction=test_fraction)
    check_integers(n_generated=n_generated, n_trees=n_trees)
    check_integers(optional=True, max_epochs=max_epochs)
    for method in methods:
        check_choices(methods=(method, Method))
    if "smote" in methods:
        import_optional("imblearn", "method 'smote'", extra="experiments")
    custom = dict(custom or {})
    names = list(dict.fromkeys([*methods, *custom]))
    seeds = [check_seed(seed) for seed in (range(seeds) if isinstance(seeds, int) else seeds)]
    cells = read_labeled(adata, labels_key, layer)
    if empty := int((cells.log_expression.getnnz(axis=1) == 0).sum()):
        raise ValueError(f"adata must have no empty cells, got {empty}: remove them with scanpy.pp.filter_cells.")
    if len(found := set(cells.types)) < 2:
        raise ValueError(f"labels_key={labels_key!r} must have at least two types, got {sorted(found)}.")
    n_cells: dict[Any, int] = pd.Series(cells.types).value_counts().to_dict()
    label = str(next(iter(n_cells)) if label is None else label)
    if label not in n_cells:
        raise ValueError(f"label must be a type of labels_key={labels_key!r} ({sorted(n_cells)}), got {label!r}.")
    kept_counts = _kept_counts(keep, label, n_cells[label] - _n_test(n_cells[label], test_fraction))
    for name, some in {"methods": names, "seeds": seeds, "keep": kept_counts}.items():
        if not some:
            raise ValueError(f"{name} must name at least one, got none.")

    rows = []
    for seed, kept in progress(list(product(dict.fromkeys(seeds), kept_counts)), desc="Augmentation", unit="run"):
        train, test = _split(cells.types, test_fraction, seed)
        is_own = cells.types[train] == label
        few = np.concatenate([train[is_own][:kept], train[~is_own]])
        sets = cells.take(few), cells.take(test), adata.var_names
        run = AugmentationRun(*sets, label, n_generated, seed, max_epochs, custom)
        for name in names:
            rows.append({"label": label, "kept": kept, "seed": seed, "method": name} | run.scores(name, n_trees))
    return pd.DataFrame(rows)


def _n_test(n_cells: int, test_fraction: float) -> int:
    """Cells of a type to hold out: at least one, but not the last."""
    return min(max(round(test_fraction * n_cells), 1), n_cells - 1)


def _split(types: np.ndarray, test_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test cells, the same share of every type, in random order within each type."""
    rng = np.random.default_rng(seed)
    of_types = [rng.permutation(np.flatnonzero(types == label)) for label in np.unique(types)]
    parts = [np.split(cells, [_n_test(len(cells), test_fraction)]) for cells in of_types]
    return np.concatenate([train for _, train in parts]), np.concatenate([test for test, _ in parts])


def _kept_counts(keep: Sequence[int | float], label: str, n_train: int) -> list[int]:
    """Distinct numbers of cells to keep."""
    if isinstance(keep, str) or not isinstance(keep, Sequence | np.ndarray):
        raise TypeError(f"keep must be a sequence of numbers or shares of cells, got {keep!r}.")
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
    return list(dict.fromkeys(counts))


@dataclass(frozen=True, eq=False)
class AugmentationRun:
    """All methods on one split. Cells are added as principal components of the training cells."""

    train: Cells
    test: Cells
    genes: pd.Index
    label: str
    n_generated: int
    seed: int
    max_epochs: int | None
    custom: Mapping[str, AddCells]

    @cached_property
    def space(self) -> Space:
        """The components of the training cells."""
        return Space(self.train, self.seed)

    @cached_property
    def adata(self) -> AnnData:
        """The training cells, as custom methods take them."""
        return model_input(self.train, self.genes, "default")

    def scores(self, method: str, n_trees: int) -> dict[str, float]:
        """F1, precision and recall of the type among test cells, and seconds to make the added cells."""
        if method == "smote" and (self.train.types == self.label).sum() < 2:
            return {"f1": np.nan, "precision": np.nan, "recall": np.nan, "seconds": 0.0}
        x = self.space.reference_components
        start = time.perf_counter()
        added = self.added(method)
        seconds = time.perf_counter() - start
        types = np.concatenate([self.train.types, np.repeat(self.label, len(added))])
        forest = RandomForestClassifier(n_trees, max_features="sqrt", random_state=self.seed, n_jobs=-1)
        predicted = forest.fit(np.vstack([x, added]), types).predict(self.space.project(self.test))
        precision, recall, f1, _ = precision_recall_fscore_support(
            self.test.types == self.label, predicted == self.label, average="binary", zero_division=0
        )
        return {"f1": float(f1), "precision": float(precision), "recall": float(recall), "seconds": seconds}

    def added(self, method: str) -> np.ndarray:
        """The added cells, ``(n_generated, n_components)``; none for ``"none"``."""
        x, types, n, seed = self.space.reference_components, self.train.types, self.n_generated, self.seed
        if method in self.custom:
            values = self.custom[method](self.adata, self.label, n, seed)
            return self.space.project(Cells(log_normalize(csr_matrix(values)), None, None))
        if method == "none":
            return x[:0]
        if method == "oversampling":
            own = x[types == self.label]
            return own[np.random.default_rng(seed).integers(len(own), size=n)]
        if method in ("smote", "gaussian"):
            return (smote if method == "smote" else gaussian)(x, types, self.label, n, seed)
        with warnings.catch_warnings():
            # few cells are the point of the experiment
            warnings.filterwarnings("ignore", message=".* has fewer than 3 cells", category=UserWarning)
            options: dict[str, Any] = {"seed": seed, "max_epochs": self.max_epochs, "enable_progress_bar": False}
            model = train_configuration(self.train, self.genes, "default", **options)
        made = model.generate(labels={self.label: n}, seed=seed)
        return self.space.project(Cells(log_normalize(csr_matrix(made.X)), None, None))


def smote(components: np.ndarray, types: np.ndarray, label: str, n: int, seed: int) -> np.ndarray:
    """``n`` points between cells of the type and their five nearest neighbors in it (Chawla et al. 2002)."""
    over_sampling = import_optional("imblearn.over_sampling", "method 'smote'", extra="experiments")
    n_cells = int((types == label).sum())
    target, n_neighbors = {label: n_cells + n}, min(_N_NEIGHBORS, n_cells - 1)
    sampler = over_sampling.SMOTE(sampling_strategy=target, k_neighbors=n_neighbors, random_state=seed)
    return sampler.fit_resample(components, types)[0][len(components) :]


def gaussian(components: np.ndarray, types: np.ndarray, label: str, n: int, seed: int) -> np.ndarray:
    """``n`` points around the mean of the type's cells, with the covariance of the other types' cells around theirs."""
    own = types == label
    others, codes = components[~own], np.unique(types[~own], return_inverse=True)[1]
    means = np.stack([others[codes == code].mean(axis=0) for code in range(codes.max() + 1)])
    covariance = np.cov(others - means[codes], rowvar=False)
    rng = np.random.default_rng(seed)
    # the covariance of few cells is singular, up to rounding
    return rng.multivariate_normal(components[own].mean(axis=0), covariance, size=n, check_valid="ignore")


def augmentation_gain(table: pd.DataFrame) -> pd.DataFrame:
    """How much higher F1 is with added cells than without, and than with copies of the kept cells.

    A gain is the difference between two methods of one seed and number kept in the table of
    :func:`activa.experiments.augmentation`. Its mean has a 95% interval of Student's t over seeds; numbers kept share
    the split of their seed, so they are averaged before the interval over all of them. Runs without an F1 are left out.
    A ValueError if it is not such a table, or has two rows of one seed, number kept and method.

    Returns
    -------
    One row per method, reference and number kept, and one over all numbers, where ``kept`` is missing: ``method``,
    ``reference`` (``"none"`` or ``"oversampling"``, if the table has it), ``kept``, ``gain`` (of F1), ``lower`` and
    ``upper`` (NaN with one seed), and ``seeds``, their number.

    Examples
    --------
    >>> table = pd.DataFrame({"method": ["none", "activa"], "kept": 5, "seed": 0, "f1": [0.25, 0.75]})
    >>> float(augmentation_gain(table)["gain"].iloc[0])
    0.5
    """
    if absent := [column for column in ("method", "kept", "seed", "f1") if column not in table]:
        raise ValueError(f"table lacks {absent}: give the table of activa.experiments.augmentation.")
    if table.duplicated(["seed", "kept", "method"]).any():
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
