"""Whether added cells help a classifier to recognize a type in a batch where no training cell has it.

    python benchmarks/unseen_types.py --data FILE [FILE ...] --batch-key batch --labels-key cell_type

Each type in turn is hidden from one batch, that with most of its cells: they are not trained on, while up to ten of the
type's cells of other batches are. Classifiers learn the type from the training cells and from cells of it that a method
adds, and then read that batch: all hidden cells, and 40% of its others, which nothing was trained on. Genes are the 2,000
of largest variance in the training cells, as log1p of counts scaled to 10,000. The forest reads their 50 principal
components, the logistic regression the genes. Methods add copies of the type's training cells (oversampling), points
between them (SMOTE), points around their mean with the spread of other types in the components (Gaussian), the same moved
by the difference that the batch makes to the means of other types (moved), cells that activa generates for the type and the
hidden batch, or the type's training cells as scVI decodes them for the hidden batch. What is in --out is not run again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from _data import split
from _report import reach
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_fscore_support

from activa import ACTIVA
from activa.data import log_normalize
from activa.experiments.rare_types import gaussian, smote
from activa.metrics.space import variable_genes

MIN_HIDDEN, MIN_TRAINING_CELLS = 15, 5
METHODS = ("none", "oversampling", "smote", "gaussian", "moved", "activa", "scvi")


class Hole:
    """Training cells without one type in one batch, and the cells of that batch to recognize."""

    def __init__(
        self,
        parts: dict[str, ad.AnnData],
        label: str,
        batch: str,
        keys: tuple[str, str],
        keep: int,
        seed: int,
        epochs: tuple[int | None, int],
    ):
        self.label, self.batch, self.seed, self.epochs = label, batch, seed, epochs
        self.labels_key, self.batch_key = keys
        train = parts["train"]
        hidden = self._is_hidden(train)
        own = np.flatnonzero(~hidden & (train.obs[self.labels_key] == label).to_numpy())
        left_out = hidden.copy()
        left_out[np.random.default_rng(seed).permutation(own)[keep:]] = True
        genes = variable_genes(csr_matrix(log_normalize(csr_matrix(train[~left_out].X))))
        self.train = train[~left_out][:, genes].copy()
        others = ad.concat([parts["test"], parts["floor"]])
        others = others[others.obs[self.batch_key] == batch]
        self.test = ad.concat([train[hidden], others])[:, self.train.var_names].copy()
        self.x, self.x_test = self._logs(self.train.X), self._logs(self.test.X)
        self.pca = PCA(min(50, len(self.x) - 1), random_state=seed).fit(self.x)
        self.types = self.train.obs[self.labels_key].to_numpy(dtype=str)

    def _is_hidden(self, cells: ad.AnnData) -> np.ndarray:
        return ((cells.obs[self.labels_key] == self.label) & (cells.obs[self.batch_key] == self.batch)).to_numpy()

    @staticmethod
    def _logs(counts) -> np.ndarray:
        return np.asarray(log_normalize(csr_matrix(counts, dtype=np.float32)).toarray())

    def none(self, n: int) -> np.ndarray:
        """No cell."""
        return self.x[:0]

    def oversampling(self, n: int) -> np.ndarray:
        """Copies of the type's cells of other batches."""
        own = self.x[self.types == self.label]
        return own[np.random.default_rng(self.seed).integers(len(own), size=n)]

    def smote(self, n: int) -> np.ndarray:
        """Points between the type's cells of other batches."""
        return smote(self.x, self.types, self.label, n, self.seed)

    def gaussian(self, n: int) -> np.ndarray:
        """Normal components around the type's mean, as log expression."""
        drawn = gaussian(self.pca.transform(self.x), self.types, self.label, n, self.seed)
        return self.pca.inverse_transform(drawn)

    def moved(self, n: int) -> np.ndarray:
        """The same, moved by what the hidden batch makes of the means of other types."""
        scores, here = self.pca.transform(self.x), self.train.obs[self.batch_key].to_numpy(dtype=str) == self.batch
        shifts = []
        for other in np.unique(self.types):
            sets = [scores[(self.types == other) & side] for side in (here, ~here)]
            if min(map(len, sets)) >= MIN_TRAINING_CELLS:
                shifts.append(sets[0].mean(0) - sets[1].mean(0))
        drawn = gaussian(scores, self.types, self.label, n, self.seed) + (np.mean(shifts, axis=0) if shifts else 0)
        return self.pca.inverse_transform(drawn)

    def activa(self, n: int) -> np.ndarray:
        """Cells generated for the type and the hidden batch."""
        cells = self.train.copy()
        ACTIVA.setup_anndata(cells, labels_key=self.labels_key, batch_key=self.batch_key)
        model = ACTIVA(cells, seed=self.seed)
        model.train(max_epochs=self.epochs[0], seed=self.seed, enable_progress_bar=False)
        return self._logs(model.generate(n, labels=self.label, batch=self.batch, seed=self.seed).X)

    def scvi(self, n: int) -> np.ndarray:
        """The type's cells of other batches, decoded for the hidden batch by scVI (labels are not its input)."""
        import scvi

        cells = self.train.copy()
        scvi.settings.seed = self.seed
        scvi.model.SCVI.setup_anndata(cells, batch_key=self.batch_key)
        model = scvi.model.SCVI(cells)
        model.train(max_epochs=self.epochs[1], enable_progress_bar=False)
        own = np.flatnonzero(self.types == self.label)
        chosen = own[np.random.default_rng(self.seed).integers(len(own), size=n)]
        asked = {"transform_batch": self.batch, "library_size": 1e4, "return_numpy": True}
        return np.log1p(model.get_normalized_expression(indices=chosen, **asked))

    def scores(self, method: str, n: int) -> list[dict[str, object]]:
        """A row a classifier."""
        add: Callable[[int], np.ndarray] = getattr(self, method)
        start = time.perf_counter()
        added = add(n)
        seconds = time.perf_counter() - start
        x, types = np.vstack([self.x, added]), np.concatenate([self.types, np.repeat(self.label, len(added))])
        truth = self.test.obs[self.labels_key].to_numpy(dtype=str) == self.label
        forest = RandomForestClassifier(500, random_state=self.seed)
        regression = LogisticRegression(C=0.01, max_iter=300)
        rows = []
        for name, classifier, of in (("forest", forest, self.pca.transform), ("logistic", regression, np.asarray)):
            found = classifier.fit(of(x), types).predict(of(self.x_test)) == self.label
            precision, recall, f1, _ = precision_recall_fscore_support(truth, found, average="binary", zero_division=0)
            rows.append(
                {"classifier": name, "method": method, "f1": f1, "recall": recall, "precision": precision}
                | {"n_hidden": int(truth.sum()), "n_kept": int((self.types == self.label).sum()), "seconds": seconds}
            )
        return rows


def holes(parts: dict[str, ad.AnnData], labels_key: str, batch_key: str) -> list[tuple[str, str]]:
    """Each type that can be hidden, and the batch with most of its cells."""
    size = sum(pd.crosstab(cells.obs[labels_key], cells.obs[batch_key]) for cells in parts.values())
    train = pd.crosstab(parts["train"].obs[labels_key], parts["train"].obs[batch_key])
    found = []
    for label in train.index:
        batch = size.loc[label].idxmax()
        left = train.loc[label].sum() - train.loc[label, batch]
        if size.loc[label, batch] >= MIN_HIDDEN and left >= MIN_TRAINING_CELLS:
            found.append((str(label), str(batch)))
    return found


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Means over types and seeds; and the mean gain over no added cell, with its 95% interval over types and seeds."""
    keys = ["data", "seed", "type", "classifier"]
    f1 = table.set_index([*keys, "method"])["f1"].unstack("method")
    rows = []
    for (data, classifier), of in f1.groupby(level=["data", "classifier"]):
        for method in (name for name in METHODS if name in of):
            if not len(gain := (of[method] - of["none"]).dropna()):
                continue
            half = reach(gain)
            shown = f"{gain.mean():.3f} ({gain.mean() - half:.3f} to {gain.mean() + half:.3f})"
            found = table.query("data == @data and classifier == @classifier and method == @method")
            row = {"data": data, "classifier": classifier, "added cells": method, "runs": len(gain)}
            row |= {name: found[name].mean() for name in ("f1", "recall", "precision", "seconds")}
            rows.append(row | {"gain in F1": "" if method == "none" else shown})
    return pd.DataFrame(rows).round(3)


def main() -> None:
    """Run every file, seed, type and method, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--batch-key", default="batch", help="column of obs with the batches")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--keep", type=int, default=10, help="training cells of the hidden type, of other batches")
    parser.add_argument("--n-added", type=int, default=200, help="cells that a method adds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--max-epochs", type=int, help="of ACTIVA, for a quick try; the default otherwise")
    parser.add_argument("--scvi-epochs", type=int, default=50, help="of scVI")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder to write to")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "unseen_types.csv"
    rows = pd.read_csv(file).to_dict("records") if file.exists() else []
    for seed in args.seeds:
        for path in args.data:
            parts = split(path, args.labels_key, seed)
            for part in parts.values():
                part.obs[args.batch_key] = part.obs[args.batch_key].astype(str).astype("category")
            for label, batch in holes(parts, args.labels_key, args.batch_key):
                of = {"data": path.stem, "seed": seed, "type": label, "batch": batch}
                done = {row["method"] for row in rows if all(row[name] == value for name, value in of.items())}
                if not (missing := [method for method in args.methods if method not in done]):
                    continue
                epochs = args.max_epochs, args.scvi_epochs
                hole = Hole(parts, label, batch, (args.labels_key, args.batch_key), args.keep, seed, epochs)
                rows += [of | row for method in missing for row in hole.scores(method, args.n_added)]
                # after each, so that a run that is broken off has told what it found
                table = pd.DataFrame(rows)
                table.round(4).to_csv(file, index=False)
                (args.out / "unseen_types.md").write_text(
                    summary(table).to_markdown(index=False, disable_numparse=True) + "\n"
                )
    print(summary(pd.DataFrame(rows)).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
