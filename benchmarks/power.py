"""What tests of differential expression find in simulated cells whose truth is known, and in real cells.

    python benchmarks/power.py --data FILE [FILE ...] [--donors 3 6 12] [--cells 50 150 500]

Trains ACTIVA on all cells of a file and simulates two conditions of its largest type, for so many donors per condition and
cells per donor: with genes that differ by a log2 fold change of 1 in either direction, and without; with donors that differ
in expression (--donor-variance, of natural logs) and with donors that do not. Three tests read the counts: Wilcoxon's rank
sum over cells, DESeq2 on pseudobulk, and Welch's t test on the log of pseudobulk. For each it says how often a gene without
a difference has p < 0.05, which share of the genes found at a false discovery rate of 5% (Benjamini and Hochberg) is false,
and which share of the genes with a difference is found.

The anchor asks the same of real cells, whose truth is made: the type's cells are divided at random into two groups of three
samples, and counts of some genes are thinned to half in one group. Beside them stand generated cells, as many, with the
same genes at half the expected counts.

A row for each setting, seed and test is added to power.csv in --out, and is not computed again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from _report import mean_and_sd
from pydeseq2.dds import DeseqDataSet
from pydeseq2.default_inference import DefaultInference
from pydeseq2.ds import DeseqStats
from scipy.sparse import csr_matrix
from scipy.stats import false_discovery_control, mannwhitneyu, ttest_ind

from activa import ACTIVA, Sampler, simulate

FOLD_CHANGE, N_CHANGED, MIN_MEAN, ANCHOR_DONORS = 1.0, 100, 0.2, 3
SETTING = ["data", "cells", "donors per condition", "cells per donor", "donor variance", "differential", "seed"]


def wilcoxon(counts: np.ndarray, treated: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """P-values of the genes over cells, log-normalized."""
    log = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    return mannwhitneyu(log[treated], log[~treated], axis=0, method="asymptotic").pvalue


def pseudobulk(counts: np.ndarray, treated: np.ndarray, donors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Summed counts of each donor, ``(n_donors, n_genes)``, and which donors are treated."""
    names, first = np.unique(donors, return_index=True)
    return np.stack([counts[donors == name].sum(0) for name in names]), treated[first]


def t_test(counts: np.ndarray, treated: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """P-values of Welch's t test on log2 counts per million of donors."""
    sums, group = pseudobulk(counts, treated, donors)
    log = np.log2((sums + 0.5) / (sums.sum(1, keepdims=True) + 1) * 1e6)
    return ttest_ind(log[group], log[~group], equal_var=False).pvalue


def deseq2(counts: np.ndarray, treated: np.ndarray, donors: np.ndarray) -> np.ndarray:
    """P-values of PyDESeq2 on donors' sums; its own filter of genes is off, so that every gene has one."""
    sums, group = pseudobulk(counts, treated, donors)
    about = pd.DataFrame(
        {"condition": np.where(group, "treated", "control")}, index=[f"d{i}" for i in range(len(sums))]
    )
    inference = DefaultInference(n_cpus=1)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = DeseqDataSet(
            counts=pd.DataFrame(sums.astype(int), index=about.index),
            metadata=about,
            design="~condition",
            inference=inference,
            quiet=True,
        )
        data.deseq2()
        found = DeseqStats(
            data,
            contrast=["condition", "treated", "control"],
            independent_filter=False,
            cooks_filter=False,
            inference=inference,
            quiet=True,
        )
        found.summary()
    return found.results_df["pvalue"].fillna(1.0).to_numpy()


TESTS = {"Wilcoxon, cells": wilcoxon, "DESeq2, pseudobulk": deseq2, "t test, pseudobulk": t_test}


def judged(cells: ad.AnnData, genes: np.ndarray, changed: np.ndarray) -> Iterator[dict[str, Any]]:
    """A row per test, for the chosen genes."""
    counts = csr_matrix(cells[:, genes].X).toarray()
    treated, donors = (cells.obs["condition"] == "treated").to_numpy(), cells.obs["donor"].astype(str).to_numpy()
    truth = np.isin(genes, changed)
    for name, test in TESTS.items():
        p = test(counts, treated, donors)
        p = np.where(np.isfinite(p), p, 1.0)
        found = false_discovery_control(p) < 0.05
        yield {
            "test": name,
            "type I error": (p[~truth] < 0.05).mean(),
            "false discoveries": (found & ~truth).sum() / max(found.sum(), 1),
            "power": found[truth].mean() if truth.any() else np.nan,
            "found": int(found.sum()),
        }


def simulated(
    sampler: Sampler, label: str, genes: np.ndarray, setting: dict[str, Any]
) -> tuple[ad.AnnData, np.ndarray]:
    """Two conditions of a type, and the genes that differ."""
    seed = setting["seed"]
    changed = (
        np.random.default_rng([seed, 1]).choice(genes, N_CHANGED, replace=False) if setting["differential"] else []
    )
    effect = simulate.Expression(list(changed), FOLD_CHANGE) if len(changed) else None
    cells = simulate.experiment(
        sampler,
        setting["cells per donor"],
        conditions={"control": [], "treated": [effect] if effect else []},
        donors=simulate.Donors(setting["donors per condition"], variance=setting["donor variance"]),
        labels=label,
        seed=seed,
    )
    return cells, np.asarray(changed)


def anchors(
    sampler: Sampler, real: ad.AnnData, label: str, genes: np.ndarray, key: str, differential: bool, seed: int
) -> dict[str, tuple[ad.AnnData, np.ndarray]]:
    """Real cells divided at random, and generated cells; with genes that are halved in the treated."""
    rng = np.random.default_rng([seed, 2])
    real = real[real.obs[key] == label].copy()
    changed = rng.choice(genes, N_CHANGED, replace=False) if differential else np.array([])
    sample = rng.permutation(np.arange(real.n_obs) % (2 * ANCHOR_DONORS))
    about = {"donor": sample.astype(str), "condition": np.where(sample % 2, "treated", "control")}
    made = sampler.generate(labels={label: real.n_obs}, seed=seed)
    found = {}
    for name, cells in (("real", real), ("generated", made)):
        cells.obs = cells.obs.assign(**about)
        counts = csr_matrix(cells.X).toarray()
        halved = np.ix_(about["condition"] == "treated", cells.var_names.isin(changed))
        counts[halved] = rng.binomial(counts[halved].astype(int), 2.0**-FOLD_CHANGE)
        cells.X = csr_matrix(counts)
        found[name] = cells, changed
    return found


def run_missing(args: argparse.Namespace, path: Path, file: Path) -> None:
    """Train once, and compute the rows that are not in the file."""
    adata = ad.read_h5ad(path)
    key = args.labels_key
    adata.obs[key] = adata.obs[key].astype(str).astype("category")
    label = adata.obs[key].value_counts().index[0]
    ACTIVA.setup_anndata(adata, labels_key=key)
    model = ACTIVA(adata, seed=0)
    model.train(max_epochs=args.max_epochs, seed=0, enable_progress_bar=False)
    sampler = model.sampler
    mean = np.asarray(adata[adata.obs[key] == label].X.mean(axis=0)).ravel()
    genes = adata.var_names[mean > MIN_MEAN].to_numpy()
    grid = [
        (donors, cells, variance, differential, seed)
        for seed in args.seeds
        for differential in (False, True)
        for variance in (0.0, args.donor_variance)
        for donors in args.donors
        for cells in args.cells
    ]
    done = read(file)
    for donors, n_cells, variance, differential, seed in grid:
        setting = dict(
            zip(SETTING, (path.stem, "simulated", donors, n_cells, variance, differential, seed), strict=True)
        )
        if not (done[SETTING] == pd.Series(setting)).all(axis=1).any():
            cells, changed = simulated(sampler, label, genes, setting)
            append(file, [setting | row for row in judged(cells, genes, changed)])
    for seed, differential in [(seed, d) for seed in args.seeds for d in (False, True)]:
        for name, (cells, changed) in anchors(sampler, adata, label, genes, key, differential, seed).items():
            values = (path.stem, name, ANCHOR_DONORS, cells.n_obs // (2 * ANCHOR_DONORS), 0.0, differential, seed)
            setting = dict(zip(SETTING, values, strict=True))
            if not (done[SETTING] == pd.Series(setting)).all(axis=1).any():
                append(file, [setting | row for row in judged(cells, genes, changed)])


def read(file: Path) -> pd.DataFrame:
    """The rows that are done."""
    return pd.read_csv(file) if file.exists() else pd.DataFrame(columns=[*SETTING, "test"])


def append(file: Path, rows: list[dict[str, Any]]) -> None:
    """Add rows, so that a run that is broken off has told what it found."""
    pd.DataFrame(rows).to_csv(file, mode="a", header=not file.exists(), index=False)


def tables(rows: pd.DataFrame) -> str:
    """Means and standard deviations over seeds: without differences, with them, and of the anchor."""
    sections = []
    for data, of in rows.groupby("data"):
        made = of["cells"] == "simulated"
        setting = ["donor variance", "donors per condition", "cells per donor"]
        shown = {
            "No gene differs": (of[made & ~of["differential"]], setting, ["type I error", "found"]),
            "100 genes differ": (of[made & of["differential"]], setting, ["false discoveries", "power"]),
            "Anchor, no gene differs": (of[~made & ~of["differential"]], ["cells"], ["type I error", "found"]),
            "Anchor, 100 genes thinned": (of[~made & of["differential"]], ["cells"], ["false discoveries", "power"]),
        }
        sections.append(f"#### {data}")
        for title, (part, index, values) in shown.items():
            table = part.pivot_table(index=index, columns="test", values=values, aggfunc=mean_and_sd)[values]
            table.columns = [f"{test.split(',')[0]}: {value}" for value, test in table.columns]
            sections.append(f"{title}:\n\n{table.reset_index().to_markdown(index=False, disable_numparse=True)}")
    return "\n\n".join(sections) + "\n"


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--donors", type=int, nargs="+", default=[3, 6, 12], help="per condition")
    parser.add_argument("--cells", type=int, nargs="+", default=[50, 150, 500], help="per donor")
    parser.add_argument("--donor-variance", type=float, default=0.1, help="of natural logs of expression")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of all that is random but the model")
    parser.add_argument("--max-epochs", type=int, help="for a quick try; the default otherwise")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder to write to")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "power.csv"
    for path in args.data:
        run_missing(args, path, file)
        rows = read(file)
        file.with_suffix(".md").write_text(tables(rows))
        print(tables(rows), flush=True)


if __name__ == "__main__":
    main()
