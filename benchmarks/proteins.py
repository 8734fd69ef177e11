"""How genes and proteins of generated cells vary together, beside held-out cells.

    python benchmarks/proteins.py --data FILE.h5mu --labels-key cell_type [--seeds 0 1 2]

Pearson correlation of every gene (log1p of counts scaled to 10,000 a cell) with every protein (as registered; log1p
where they are counts) in generated cells, in a second held-out set (the floor) and in the test cells: mean absolute
difference from the test cells', overall and within types. Were genes and proteins drawn apart, all would be zero: that
is the second row. Within types, those of at least 50 test cells count, each as much as the others. There most of a
correlation is chance, and none at all comes nearer than the floor does: so the agreement is told too, Pearson's
correlation of the correlations with the test cells'.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mudata as md
import numpy as np
import pandas as pd
from _data import assign_parts
from scipy.sparse import issparse

from activa import ACTIVA

MIN_CELLS = 50
FLOOR, NONE, OURS = "real cells (floor)", "no correlation", "ACTIVA"


def split(path: Path, labels_key: str, modalities: tuple[str, str], seed: int) -> dict[str, md.MuData]:
    """Read cells and split them 60/20/20 within each type; genes that no training cell has are dropped."""
    mdata = md.read_h5mu(path)
    rna, protein = (mdata[name] for name in modalities)
    labels = (rna.obs if labels_key in rna.obs else mdata.obs)[labels_key].astype(str)
    part = assign_parts(labels, seed)
    genes = np.asarray((rna.X[part == "train"] > 0).sum(axis=0)).ravel() > 0
    parts = {}
    for name in ("train", "test", "floor"):
        cells = {modalities[0]: rna[part == name, genes].copy(), modalities[1]: protein[part == name].copy()}
        parts[name] = md.MuData(cells)
        parts[name].obs[labels_key] = pd.Categorical(labels[part == name])
    return parts


def dense(x) -> np.ndarray:
    """A matrix as a dense array of float64."""
    return np.asarray(x.toarray() if issparse(x) else x, dtype=float)


def values(mdata: md.MuData, modalities: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Log-normalized genes and proteins, each cells x variables."""
    counts, proteins = (dense(mdata[name].X) for name in modalities)
    are_counts = (proteins >= 0).all() and (proteins == np.round(proteins)).all()
    log = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True).clip(min=1))
    return log, np.log1p(proteins) if are_counts else proteins


def correlations(genes: np.ndarray, proteins: np.ndarray) -> np.ndarray:
    """Pearson correlations, genes x proteins; zero for what does not vary."""
    scaled = []
    for x in (genes, proteins):
        centered = x - x.mean(axis=0)
        scaled.append(centered / np.maximum(np.sqrt((centered**2).sum(axis=0)), 1e-12))
    return scaled[0].T @ scaled[1]


def compare(test, other, test_labels: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Difference and agreement of the correlations, overall and within types; ``other`` None has none."""

    def figures(of_test, of_other) -> tuple[float, float]:
        # a gene without a count in the test cells has no correlation to compare with
        varies = test[0][of_test].std(axis=0) > 0
        expected = correlations(*(x[of_test] for x in test))[varies].ravel()
        if other is None:
            return float(np.abs(expected).mean()), 0.0
        found = correlations(*(x[of_other] for x in other))[varies].ravel()
        return float(np.abs(expected - found).mean()), float(np.corrcoef(expected, found)[0, 1])

    types, counts = np.unique(test_labels, return_counts=True)
    overall = figures(slice(None), slice(None))
    within = np.mean([figures(test_labels == t, labels == t) for t in types[counts >= MIN_CELLS]], axis=0)
    return {
        "overall": overall[0],
        "within types": float(within[0]),
        "agreement": overall[1],
        "agreement within types": float(within[1]),
    }


def run(args: argparse.Namespace, path: Path, seed: int) -> list[dict]:
    """Rows of one split: the floor, no correlation, and generated cells of the test cells' types."""
    modalities = (args.rna, args.protein)
    parts = split(path, args.labels_key, modalities, seed)
    labels = {name: part.obs[args.labels_key].to_numpy(dtype=str) for name, part in parts.items()}
    ACTIVA.setup_mudata(
        parts["train"], labels_key=args.labels_key, modalities={"rna_layer": args.rna, "protein_layer": args.protein}
    )
    model = ACTIVA(parts["train"], seed=seed)
    model.train(max_epochs=args.max_epochs, seed=seed, enable_progress_bar=False)
    synthetic = model.generate(labels=list(labels["test"]), seed=seed)
    test = values(parts["test"], modalities)
    others = {
        FLOOR: (values(parts["floor"], modalities), labels["floor"]),
        NONE: (None, labels["test"]),
        OURS: (values(synthetic, modalities), labels["test"]),
    }
    found = {name: compare(test, other, labels["test"], own) for name, (other, own) in others.items()}
    rows = []
    for name, figures in found.items():
        ratios = {f"{key}, ratio": figures[key] / found[FLOOR][key] for key in ("overall", "within types")}
        rows.append({"dataset": path.stem, "seed": seed, "cells": name} | figures | ratios)
    return rows


def main() -> None:
    """Run every file and seed, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5mu files of counts and proteins")
    parser.add_argument("--labels-key", default="cell_type", help="column with the types, of the genes or of all")
    parser.add_argument("--rna", default="rna", help="modality of the genes")
    parser.add_argument("--protein", default="protein", help="modality of the proteins")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the splits, training and draws")
    parser.add_argument("--max-epochs", type=int, help="for a quick try; the default otherwise")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    args = parser.parse_args()
    rows = []
    for path in args.data:
        for seed in args.seeds:
            rows += run(args, path, seed)
            print(pd.DataFrame(rows[-3:]).to_string(index=False), flush=True)
    table = pd.DataFrame(rows)
    mean = table.drop(columns="seed").groupby(["dataset", "cells"], sort=False).mean()
    args.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out / "proteins.csv", index=False)
    (args.out / "proteins.md").write_text(mean.round(3).reset_index().to_markdown(index=False) + "\n")


if __name__ == "__main__":
    main()
