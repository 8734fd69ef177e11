"""Whether methods rank on generated cells as they rank on real cells whose truth is known by experiment.

    python benchmarks/ranking.py --data FILE [FILE ...] [--seeds 0 1 2 3 4]

Splits each file as realism.py does, trains ACTIVA on the training cells, generates as many cells of each type as are unseen,
and scores methods on the unseen cells and on the generated ones:

- clusterings, by the adjusted Rand index with the types, which for lines and sorted cells are known by experiment;
- doublet scores, by their AUC for summed pairs of cells, a tenth of all;
- tests of differential expression between random halves of the largest type, of which one has genes with half the counts,
  by the area under their precision and recall.

The figure is Spearman's correlation of the methods' scores. Beside it stands that of the two halves of the unseen cells, which is
what real cells reach of the same kind, and that of cells with independent genes (negative binomial per type). Intervals are
over seeds, by Student's t. Writes Markdown and CSV.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
from _baselines import independent
from _data import split
from _judge import unseen_cells
from _report import reach
from _task import Task
from scipy.sparse import csr_matrix
from scipy.stats import ks_2samp, mannwhitneyu, spearmanr, ttest_ind
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score, average_precision_score, roc_auc_score
from sklearn.mixture import GaussianMixture

from activa import ACTIVA, simulate

N_COMPONENTS, DOUBLET_SHARE, N_HALVED, MIN_MEAN = 30, 0.1, 100, 0.2

type Scores = dict[str, float]


def normalized(cells: ad.AnnData) -> ad.AnnData:
    """Log-normalized cells, with principal components and neighbors."""
    cells = cells.copy()
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    sc.pp.pca(cells, n_comps=N_COMPONENTS)
    sc.pp.neighbors(cells, n_pcs=N_COMPONENTS)
    return cells


def clusterings(cells: ad.AnnData, key: str, seed: int) -> Scores:
    """Adjusted Rand index of each clustering with the types."""
    cells, n = normalized(cells), cells.obs[key].nunique()
    x = cells.obsm["X_pca"]
    found = {}
    for resolution in (0.1, 0.3, 1.0, 2.0):
        sc.tl.leiden(cells, resolution, flavor="igraph", n_iterations=2, random_state=seed)
        found[f"Leiden, resolution {resolution}"] = cells.obs["leiden"].to_numpy()
    for n_used in (2, 10, N_COMPONENTS):
        found[f"k-means, {n_used} components"] = KMeans(n, n_init=5, random_state=seed).fit_predict(x[:, :n_used])
    found["k-means, twice the clusters"] = KMeans(2 * n, n_init=5, random_state=seed).fit_predict(x)
    for linkage in ("ward", "average", "complete"):
        found[f"hierarchical, {linkage}"] = AgglomerativeClustering(n, linkage=linkage).fit_predict(x)
    for form in ("diag", "full"):
        mixture = GaussianMixture(n, covariance_type=form, reg_covar=1e-3, random_state=seed)
        found[f"Gaussian mixture, {form}"] = mixture.fit_predict(x[:, :10])
    counts = csr_matrix(cells.X).toarray()
    found["k-means, all genes"] = KMeans(n, n_init=1, random_state=seed).fit_predict(counts)
    return {name: adjusted_rand_score(cells.obs[key], labels) for name, labels in found.items()}


def doublet_scores(cells: ad.AnnData, key: str, seed: int) -> Scores:
    """AUC of each doublet score for summed pairs of cells."""
    mixed = simulate.doublets(cells, DOUBLET_SHARE, labels_key=key, seed=seed)
    counts = csr_matrix(mixed.X)
    found = {
        "depth": np.asarray(counts.sum(1)).ravel(),
        "genes": np.diff(counts.indptr),
        "genes per count": -np.diff(counts.indptr) / np.asarray(counts.sum(1)).ravel(),
        "largest share": -counts.max(1).toarray().ravel() / np.asarray(counts.sum(1)).ravel(),
    }
    for n_components in (5, 30):
        for ratio in (1.0, 2.0):
            scored = ad.AnnData(counts.copy())
            # a threshold is given, because finding one needs scikit-image; the scores do not depend on it
            settings = {"n_prin_comps": n_components, "sim_doublet_ratio": ratio, "threshold": 0.5}
            sc.pp.scrublet(scored, random_state=seed, verbose=False, **settings)
            name = f"Scrublet, {n_components} components, {ratio:g} doublets per cell"
            found[name] = scored.obs["doublet_score"].to_numpy()
    return {name: roc_auc_score(mixed.obs["doublet"], score) for name, score in found.items()}


def tests(cells: ad.AnnData, key: str, seed: int) -> Scores:
    """Area under precision and recall of each test, for genes that are thinned to half in a half of the cells."""
    rng = np.random.default_rng([seed, 3])
    own = cells[cells.obs[key] == cells.obs[key].value_counts().index[0]]
    counts = csr_matrix(own.X).toarray()
    counts = counts[:, counts.mean(0) > MIN_MEAN]
    halved = np.isin(
        np.arange(counts.shape[1]), rng.choice(counts.shape[1], min(N_HALVED, counts.shape[1] // 4), False)
    )
    treated = rng.permutation(len(counts)) < len(counts) // 2
    counts[np.ix_(treated, halved)] = rng.binomial(counts[np.ix_(treated, halved)].astype(int), 0.5)
    log = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    shares = counts / counts.sum(1, keepdims=True)
    a, b = log[treated], log[~treated]
    found = {
        "Wilcoxon": mannwhitneyu(a, b, axis=0).pvalue,
        "Wilcoxon, counts": mannwhitneyu(counts[treated], counts[~treated], axis=0).pvalue,
        "t test, log": ttest_ind(a, b, equal_var=False).pvalue,
        "t test, shares": ttest_ind(shares[treated], shares[~treated], equal_var=False).pvalue,
        "t test, counts": ttest_ind(counts[treated], counts[~treated], equal_var=False).pvalue,
        "t test, detected": ttest_ind(a > 0, b > 0, equal_var=False).pvalue,
        "Kolmogorov-Smirnov": np.array([ks_2samp(x, y).pvalue for x, y in zip(a.T, b.T, strict=True)]),
        "largest fold change": np.exp(
            -np.abs(np.log(shares[treated].mean(0) + 1e-6) - np.log(shares[~treated].mean(0) + 1e-6))
        ),
        "largest difference": -np.abs(a.mean(0) - b.mean(0)),
    }
    return {name: average_precision_score(halved, -np.nan_to_num(p, nan=1.0)) for name, p in found.items()}


KINDS = {"clusterings": clusterings, "doublet scores": doublet_scores, "tests": tests}


def run(path: Path, key: str, seed: int, max_epochs: int | None) -> list[dict]:
    """Scores of all methods on each set of cells."""
    parts = split(path, key, seed)
    real = unseen_cells(parts)
    train = parts["train"].copy()
    ACTIVA.setup_anndata(train, labels_key=key)
    model = ACTIVA(train, seed=seed)
    model.train(max_epochs=max_epochs, seed=seed, enable_progress_bar=False)
    labels = real.obs[key].to_numpy(dtype=str)
    sets = {
        "real": real,
        "ACTIVA": model.generate(labels=labels, seed=seed),
        "independent genes": next(
            iter(independent(Task(parts["train"], labels, key, seed, max_epochs, path)).cells.values())
        ),
        "real, first half": parts["test"],
        "real, second half": parts["floor"],
    }
    place = {"data": path.stem, "seed": seed}
    return [
        place | {"kind": kind, "cells": name, "method": method, "score": score}
        for kind, scored in KINDS.items()
        for name, cells in sets.items()
        for method, score in scored(cells, key, seed).items()
    ]


def correlations(rows: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation between sets of cells, a row for each dataset and kind, over seeds."""
    pairs = {
        "ACTIVA": ("real", "ACTIVA"),
        "independent genes": ("real", "independent genes"),
        "real halves": ("real, first half", "real, second half"),
    }
    table = []
    for (data, kind), of in rows.groupby(["data", "kind"]):
        found: dict[str, list[float]] = {name: [] for name in pairs}
        for _, one in of.groupby("seed"):
            scores = one.pivot(index="method", columns="cells", values="score")
            for name, (first, second) in pairs.items():
                found[name].append(spearmanr(scores[first], scores[second]).statistic)
        gap = of.pivot(index=["seed", "method"], columns="cells", values="score")
        row = {"data": data, "kind": kind, "methods": of["method"].nunique(), "seeds": of["seed"].nunique()}
        row |= {name: interval(pd.Series(values)) for name, values in found.items()}
        table.append(row | {"mean score, real": gap["real"].mean(), "mean score, ACTIVA": gap["ACTIVA"].mean()})
    return pd.DataFrame(table).round(3)


def interval(values: pd.Series) -> str:
    """Mean and 95% interval over seeds."""
    mean = values.mean()
    if len(values) < 2:
        return f"{mean:.2f}"
    half = reach(values)
    return f"{mean:.2f} ({max(mean - half, -1):.2f} to {min(mean + half, 1):.2f})"


def main() -> None:
    """Run every file and seed, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="of split, training and draws")
    parser.add_argument("--max-epochs", type=int, help="for a quick try; the default otherwise")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder to write to")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    rows: list[dict] = []
    for path in args.data:
        for seed in args.seeds:
            rows += run(path, args.labels_key, seed, args.max_epochs)
            found = pd.DataFrame(rows)
            found.round(4).to_csv(args.out / "ranking.csv", index=False)
            (args.out / "ranking.md").write_text(correlations(found).to_markdown(index=False) + "\n")
            print(correlations(found).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
