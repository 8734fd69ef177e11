"""What each method of the augmentation experiment adds to few cells of a type: ACTIVA and its controls."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix
from scvi.model import SCVI
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import precision_recall_fscore_support

from activa.data import TARGET_SUM, Cells, log_normalize
from activa.metrics.space import Space
from activa.model import ACTIVA
from activa.optional import import_optional
from activa.scvi_private import split_seed
from activa.seeds import seeded

Method = Literal["none", "activa", "oversampling", "smote", "gaussian", "scvi_counts", "scvi_rates"]
METHODS: tuple[Method, ...] = get_args(Method)
_N_NEIGHBORS = 5


@dataclass(frozen=True, eq=False)
class AugmentationRun:
    """The methods on one split: training cells with few of the type ``label``, test cells, and names of genes.

    The seed is that of models, random draws and forests. Cells are added as principal components of the training cells.
    """

    train: Cells
    test: Cells
    genes: pd.Index
    label: str
    n_generated: int
    seed: int
    max_epochs: int | None = None
    scvi_max_epochs: int | None = None

    @cached_property
    def space(self) -> Space:
        """The components of the training cells."""
        return Space(self.train, self.seed)

    @cached_property
    def own(self) -> np.ndarray:
        """Indices of the kept cells of the type."""
        return np.flatnonzero(self.train.types == self.label)

    def scores(self, method: Method, n_trees: int) -> dict[str, float]:
        """F1, precision and recall of the type among test cells, and seconds to make the added cells."""
        if method == "smote" and len(self.own) < 2:
            return {"f1": np.nan, "precision": np.nan, "recall": np.nan, "seconds": 0.0}
        x = self.space.reference_components
        # both scVI methods share one model, whose training counts for either
        waiting = self.scvi[1] if method.startswith("scvi") else 0.0
        start = time.perf_counter()
        added = self.added(method)
        seconds = time.perf_counter() - start + waiting
        types = np.concatenate([self.train.types, np.repeat(self.label, len(added))])
        forest = RandomForestClassifier(n_trees, max_features="sqrt", random_state=self.seed, n_jobs=-1)
        predicted = forest.fit(np.vstack([x, added]), types).predict(self.space.project(self.test))
        precision, recall, f1, _ = precision_recall_fscore_support(
            self.test.types == self.label, predicted == self.label, average="binary", zero_division=0
        )
        return {"f1": float(f1), "precision": float(precision), "recall": float(recall), "seconds": seconds}

    def added(self, method: Method) -> np.ndarray:
        """The added cells, ``(n_generated, n_components)``; none for ``"none"``."""
        x, n, seed = self.space.reference_components, self.n_generated, self.seed
        if method == "none":
            return x[:0]
        if method == "oversampling":
            return x[self.own][np.random.default_rng(seed).integers(len(self.own), size=n)]
        if method == "smote":
            return smote(x, self.train.types, self.label, n, seed)
        if method == "gaussian":
            return gaussian(x, self.train.types, self.label, n, seed)
        # scVI is given each kept cell equally often
        kept = np.resize(self.own, n)
        expression = self.generated() if method == "activa" else posterior(self.scvi[0], kept, method, seed)
        return self.space.project(Cells(expression, None, None))

    def model_input(self) -> AnnData:
        """The training cells as a new AnnData."""
        obs = pd.DataFrame({"type": pd.Categorical(self.train.types)}, index=np.arange(len(self.train)).astype(str))
        var = pd.DataFrame(index=self.genes.astype(str))
        return AnnData(csr_matrix(self.train.counts, dtype=np.float32), obs=obs, var=var)

    def generated(self) -> csr_matrix:
        """Log-normalized cells of the type by ACTIVA."""
        adata = self.model_input()
        with warnings.catch_warnings():
            # few cells are the point of the experiment
            warnings.filterwarnings("ignore", message=".* has fewer than 3 cells", category=UserWarning)
            ACTIVA.setup_anndata(adata, labels_key="type")
        model = ACTIVA(adata, seed=self.seed)
        model.train(self.max_epochs, seed=self.seed, enable_progress_bar=False)
        made = model.generate(labels={self.label: self.n_generated}, seed=self.seed)
        return log_normalize(csr_matrix(made.X))

    @cached_property
    def scvi(self) -> tuple[SCVI, float]:
        """scVI with its defaults, trained on all the cells that ACTIVA is trained on, and the seconds that it took."""
        start = time.perf_counter()
        adata = self.model_input()
        with seeded(self.seed), split_seed(self.seed), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
            SCVI.setup_anndata(adata)
            model = SCVI(adata)
            # no validation, which would hold out some of the few cells
            model.train(self.scvi_max_epochs, train_size=1.0, enable_progress_bar=False, log_every_n_steps=1)
        return model, time.perf_counter() - start


def smote(components: np.ndarray, types: np.ndarray, label: str, n: int, seed: int) -> np.ndarray:
    """``n`` points between cells of the type and their five nearest neighbors in it (Chawla et al. 2002)."""
    over_sampling = import_optional("imblearn.over_sampling", "method 'smote'", extra="experiments")
    n_cells = int((types == label).sum())
    sampler = over_sampling.SMOTE(
        sampling_strategy={label: n_cells + n}, k_neighbors=min(_N_NEIGHBORS, n_cells - 1), random_state=seed
    )
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


def posterior(model: SCVI, cells: np.ndarray, method: Method, seed: int) -> csr_matrix:
    """Log-normalized counts of scVI's posterior predictive for these cells, or rates there, without counting noise."""
    with seeded(seed):
        if method == "scvi_counts":
            return log_normalize(csr_matrix(model.posterior_predictive_sample(indices=cells).to_scipy_sparse()))
        rates = model.get_normalized_expression(indices=cells, library_size=TARGET_SUM, return_numpy=True)
    return csr_matrix(np.log1p(rates))
