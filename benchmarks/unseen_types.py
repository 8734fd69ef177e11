"""Whether cells generated in a batch that lacks their type help a classifier to find the type there.

    python benchmarks/unseen_types.py --data FILE [FILE ...] --batch-key batch [--types 4] [--scvi-epochs 50]

The largest types in turn are hidden from a batch, another one with every seed: the batch's cells of the type are taken from
the training cells, and the held-out ones are what a classifier must find among all held-out cells of the batch. It learns from
the training cells, with or without cells that are added in the type's name, as many as a batch has of it on average:

- oversampling: the type's cells of other batches once more; SMOTE: points between two of them and their neighbors;
- a Gaussian of the type in 50 principal components; and one moved by the difference that the batch makes to the means of other
  types;
- scVI: the type's cells as the model normalizes them for the batch (``transform_batch``);
- ACTIVA: ``generate(labels=type, batch=batch)``;
- real cells: those that were hidden, for what is attainable.

Classifiers are a random forest on 50 principal components of the training cells, and a logistic regression on all genes. The
figure is the F1 score of the hidden type in its batch; means and 95% intervals over types and seeds. Writes Markdown and CSV.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from _data import split
from _judge import unseen_cells
from imblearn.over_sampling import SMOTE
from scipy.sparse import csr_matrix
from scipy.stats import t
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from activa import ACTIVA

N_COMPONENTS, MIN_CELLS = 50, 15


def log_normalized(cells: ad.AnnData) -> np.ndarray:
    """log1p of counts per 10,000, dense float32."""
    x = csr_matrix(cells.X, dtype=np.float32)
    total = np.maximum(np.asarray(x.sum(1)), 1)
    return np.log1p(x.toarray() / total * np.float32(1e4))


def added(
    train: ad.AnnData,
    hidden: ad.AnnData,
    label: str,
    batch: str,
    keys: tuple[str, str],
    seed: int,
    args: argparse.Namespace,
) -> dict[str, np.ndarray]:
    """Log-normalized cells that each method adds in the type's name, as many each."""
    labels_key, batch_key = keys
    rng = np.random.default_rng([seed, 4])
    log, types, batches = log_normalized(train), train.obs[labels_key].astype(str), train.obs[batch_key].astype(str)
    own = (types == label).to_numpy()
    n = max(round(own.sum() / batches[own].nunique()), MIN_CELLS)
    pca = PCA(N_COMPONENTS, random_state=seed).fit(log)
    scores = pca.transform(log)
    gaussian = rng.multivariate_normal(scores[own].mean(0), np.cov(scores[own].T) + 1e-6 * np.eye(N_COMPONENTS), n)
    shifts = []
    for other in types.unique():
        here, there = ((types == other) & ((batches == batch) == inside) for inside in (True, False))
        if other != label and min(here.sum(), there.sum()) >= MIN_CELLS:
            shifts.append(scores[here.to_numpy()].mean(0) - scores[there.to_numpy()].mean(0))
    shift = np.mean(shifts, axis=0) if shifts else 0.0

    ACTIVA.setup_anndata(train, labels_key=labels_key, batch_key=batch_key)
    model = ACTIVA(train, seed=seed)
    model.train(max_epochs=args.max_epochs, seed=seed, enable_progress_bar=False)
    smote = SMOTE(sampling_strategy={1: int(own.sum()) + n}, k_neighbors=5, random_state=seed)
    found = {
        "none": log[:0],
        "oversampling": log[rng.choice(np.flatnonzero(own), n)],
        "SMOTE": smote.fit_resample(*padded(log[own], n))[0][-n:],
        "Gaussian": pca.inverse_transform(gaussian),
        "Gaussian, moved to the batch": pca.inverse_transform(gaussian + shift),
        "ACTIVA": log_normalized(model.generate(n, labels=label, batch=batch, seed=seed)),
        "real cells": log_normalized(hidden)[rng.choice(hidden.n_obs, n, replace=hidden.n_obs < n)],
    }
    if args.scvi_epochs:
        found["scVI, transformed"] = scvi_cells(
            train, own, batch, batch_key, rng.choice(own.sum(), n), seed, args.scvi_epochs
        )
    return found


def padded(own: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The type's cells, and enough far away points of another class, which SMOTE asks for."""
    rest = np.zeros((len(own) + n + 1, own.shape[1]), dtype=own.dtype)
    return np.concatenate([rest, own]), np.repeat([0, 1], [len(rest), len(own)])


def scvi_cells(
    train: ad.AnnData, own: np.ndarray, batch: str, batch_key: str, chosen: np.ndarray, seed: int, epochs: int
) -> np.ndarray:
    """The type's cells as scVI normalizes them for the batch, log1p of shares of 10,000."""
    import scvi

    cells = train.copy()
    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(cells, batch_key=batch_key)
    model = scvi.model.SCVI(cells)
    model.train(max_epochs=epochs, enable_progress_bar=False, accelerator="cpu")
    shares = model.get_normalized_expression(
        cells, indices=np.flatnonzero(own)[chosen], transform_batch=batch, library_size=1e4, return_numpy=True
    )
    return np.log1p(shares)


def f1(train: ad.AnnData, more: np.ndarray, test: ad.AnnData, label: str, key: str, seed: int) -> dict[str, float]:
    """F1 of the type among the test cells, by both classifiers."""
    log = log_normalized(train)
    x = np.concatenate([log, more.astype(np.float32)])
    y = np.concatenate([train.obs[key].astype(str), np.repeat(label, len(more))])
    unseen, truth = log_normalized(test), test.obs[key].astype(str).to_numpy()
    pca = PCA(N_COMPONENTS, random_state=seed).fit(log)
    forest = RandomForestClassifier(500, random_state=seed, n_jobs=1).fit(pca.transform(x), y)
    scale = np.maximum(log.std(0), 0.1)
    linear = LogisticRegression(C=0.01, max_iter=100, tol=1e-3).fit(x / scale, y)
    found = {"forest": forest.predict(pca.transform(unseen)), "logistic, all genes": linear.predict(unseen / scale)}
    return {name: f1_score(truth == label, guess == label) for name, guess in found.items()}


def cases(parts: dict[str, ad.AnnData], keys: tuple[str, str], n_types: int, seed: int) -> list[tuple[str, str]]:
    """The largest types that two batches have, each with one of these batches."""
    counts, held = (
        pd.crosstab(*(cells.obs[key].astype(str) for key in keys)) for cells in (parts["train"], unseen_cells(parts))
    )
    held = held.reindex(index=counts.index, columns=counts.columns, fill_value=0)
    chosen = []
    for label in counts.sum(1).sort_values(ascending=False).index:
        batches = [b for b in counts.columns if counts.loc[label, b] >= MIN_CELLS and held.loc[label, b] >= MIN_CELLS]
        if len(batches) >= 2:
            chosen.append((str(label), str(batches[seed % len(batches)])))
    return chosen[:n_types]


def run(path: Path, keys: tuple[str, str], seed: int, args: argparse.Namespace) -> list[dict]:
    """A row for each case, method and classifier."""
    labels_key, batch_key = keys
    parts = split(path, labels_key, seed)
    for part in parts.values():
        part.obs[batch_key] = part.obs[batch_key].astype(str).astype("category")
    rows = []
    for label, batch in cases(parts, keys, args.types, seed):
        train, held = parts["train"], unseen_cells(parts)
        is_hidden = ((train.obs[labels_key] == label) & (train.obs[batch_key] == batch)).to_numpy()
        kept, test = train[~is_hidden].copy(), held[(held.obs[batch_key] == batch).to_numpy()].copy()
        for method, more in added(kept, train[is_hidden].copy(), label, batch, keys, seed, args).items():
            place = {
                "data": path.stem,
                "seed": seed,
                "type": label,
                "batch": batch,
                "method": method,
                "added": len(more),
            }
            rows += [
                place | {"classifier": name, "F1": score}
                for name, score in f1(kept, more, test, label, labels_key, seed).items()
            ]
    return rows


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """F1, and the gain over none, of each method and classifier."""
    table = []
    for (data, classifier), of in rows.groupby(["data", "classifier"]):
        scores = of.pivot(index=["seed", "type", "batch"], columns="method", values="F1")
        for method in of["method"].unique():
            row = {"data": data, "classifier": classifier, "added cells": method, "cases": len(scores)}
            row["F1"] = interval(scores[method])
            table.append(
                row | {"gain over none": "" if method == "none" else interval(scores[method] - scores["none"])}
            )
    return pd.DataFrame(table)


def interval(values: pd.Series) -> str:
    """Mean and 95% interval."""
    if len(values) < 2:
        return f"{values.mean():.3f}"
    reach = t.ppf(0.975, len(values) - 1) * values.sem()
    return f"{values.mean():.3f} ({values.mean() - reach:.3f} to {values.mean() + reach:.3f})"


def main() -> None:
    """Run every file and seed, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--batch-key", default="batch", help="column of obs with the batches")
    parser.add_argument("--types", type=int, default=4, help="types that are hidden in turn")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="of split, batch, training and draws"
    )
    parser.add_argument("--max-epochs", type=int, help="of ACTIVA, for a quick try; the default otherwise")
    parser.add_argument("--scvi-epochs", type=int, default=50, help="of scVI; 0 leaves it out")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder to write to")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    rows: list[dict] = []
    for path in args.data:
        for seed in args.seeds:
            rows += run(path, (args.labels_key, args.batch_key), seed, args)
            found = pd.DataFrame(rows)
            found.round(4).to_csv(args.out / "unseen_types.csv", index=False)
            (args.out / "unseen_types.md").write_text(
                summary(found).to_markdown(index=False, disable_numparse=True) + "\n"
            )
            print(summary(found).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
