"""One run of the augmentation experiment: training and test cells, and what each method adds."""

from __future__ import annotations

import time
import warnings
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import precision_recall_fscore_support

from activa.data import Cells, log_normalize
from activa.experiments._augmentation_controls import ScviPosterior, gaussian, oversampled, smote
from activa.metrics.space import Space
from activa.model import ACTIVA

Method = Literal["none", "activa", "oversampling", "smote", "gaussian", "scvi_counts", "scvi_rates"]
METHODS: tuple[Method, ...] = get_args(Method)


class AugmentationRun:
    """The methods on one split.

    Parameters
    ----------
    train, test
        Cells to train all on, with few of the type, and cells to test on.
    genes
        Their names.
    label
        The type.
    n_generated
        Cells of it to add.
    seed
        Of models, draws and forests.
    """

    def __init__(self, train: Cells, test: Cells, genes: pd.Index, label: str, n_generated: int, seed: int) -> None:
        self._train, self._test, self._genes = train, test, genes
        self._label, self._n, self._seed = label, n_generated, seed
        self._own = np.flatnonzero(train.types == label)
        self._space = Space(train, seed)
        self._scvi: Any = None
        self._scvi_seconds = 0.0

    def scores(
        self, method: Method, n_trees: int, max_epochs: int | None, scvi_max_epochs: int | None
    ) -> dict[str, float]:
        """F1, precision and recall of the type among test cells, and the seconds that the added cells took."""
        x = self._space.reference_components
        if method == "smote" and len(self._own) < 2:
            return {"f1": np.nan, "precision": np.nan, "recall": np.nan, "seconds": 0.0}
        if method.startswith("scvi") and self._scvi is None:
            # both levels are of one model, whose training counts for either
            start = time.perf_counter()
            self._scvi = ScviPosterior(self._adata(), scvi_max_epochs, self._seed)
            self._scvi_seconds = time.perf_counter() - start
        start = time.perf_counter()
        added = self._added(method, x, max_epochs)
        seconds = time.perf_counter() - start + (self._scvi_seconds if method.startswith("scvi") else 0.0)

        forest = RandomForestClassifier(
            n_trees, criterion="gini", max_features="sqrt", random_state=self._seed, n_jobs=-1
        )
        types = np.concatenate([self._train.types, np.repeat(self._label, len(added))])
        predicted = forest.fit(np.vstack([x, added]), types).predict(self._space.project(self._test))
        precision, recall, f1, _ = precision_recall_fscore_support(
            self._test.types == self._label, predicted == self._label, average="binary", zero_division=0
        )
        return {"f1": float(f1), "precision": float(precision), "recall": float(recall), "seconds": seconds}

    def _added(self, method: Method, x: np.ndarray, max_epochs: int | None) -> np.ndarray:
        """What the method adds, in the components of the training cells ``x``."""
        if method == "none":
            return x[:0]
        if method == "oversampling":
            return oversampled(x[self._own], self._n, self._seed)
        if method == "smote":
            return smote(x, self._train.types, self._label, self._n, self._seed)
        if method == "gaussian":
            return gaussian(x, self._train.types, self._label, self._n, self._seed)
        if method == "activa":
            return self._project(self._generated(max_epochs))
        # each kept cell as often as the next
        cells = np.resize(self._own, self._n)
        draw = self._scvi.counts if method == "scvi_counts" else self._scvi.rates
        return self._project(draw(cells))

    def _project(self, log_expression: csr_matrix) -> np.ndarray:
        return self._space.project(Cells(log_expression, None, None))

    def _adata(self) -> AnnData:
        """The training cells, for a model to register: the caller's AnnData stays as it is."""
        obs = pd.DataFrame({"type": pd.Categorical(self._train.types)}, index=[str(i) for i in range(len(self._train))])
        return AnnData(
            csr_matrix(self._train.counts, dtype=np.float32), obs=obs, var=pd.DataFrame(index=self._genes.astype(str))
        )

    def _generated(self, max_epochs: int | None) -> csr_matrix:
        adata = self._adata()
        with warnings.catch_warnings():
            # few cells are what the experiment is about
            warnings.filterwarnings("ignore", message=".* has fewer than 3 cells", category=UserWarning)
            ACTIVA.setup_anndata(adata, labels_key="type")
        model = ACTIVA(adata, seed=self._seed)
        model.train(max_epochs, seed=self._seed, enable_progress_bar=False)
        return log_normalize(csr_matrix(model.generate(labels={self._label: self._n}, seed=self._seed).X))
