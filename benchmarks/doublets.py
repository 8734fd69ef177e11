"""Whether a doublet finder does as well on generated doublets as on sums of real cells.

    python benchmarks/doublets.py --data FILE [FILE ...] --labels-key cell_type

A model is trained on the training cells, and generates the types of the held-out cells one by one. In both sets the same pairs
of cells are replaced by doublets, so that these have the same types, and differ in their counts only. Scrublet (Wolock et al.
2019, as scanpy has it) scores both sets; its AUC is that of doublets against singlets, over all doublets and over those of two
types. Real cells have some doublets of their own, which count as singlets in both sets. Writes Markdown, means over the seeds
with their standard deviations, and CSV, a row a seed and set.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad
import pandas as pd
import scanpy as sc
from _data import split
from _judge import unseen_cells
from sklearn.metrics import roc_auc_score

from activa import ACTIVA
from activa.simulate import doublets

AUCS = {"AUC": ("homotypic", "heterotypic"), "AUC, two types": ("heterotypic",), "AUC, one type": ("homotypic",)}


def train_and_generate(train: ad.AnnData, types: list[str], labels_key: str, seed: int) -> ad.AnnData:
    """Cells of these types, in their order."""
    ACTIVA.setup_anndata(train, labels_key=labels_key)
    model = ACTIVA(train, seed=seed)
    model.train(seed=seed, enable_progress_bar=False)
    return model.generate(labels=types, seed=seed)


def found(cells: ad.AnnData, share: float, seed: int) -> dict[str, float]:
    """AUCs of Scrublet's score for doublets of each kind against singlets, and numbers of cells."""
    scored = ad.AnnData(cells.X.copy(), obs=cells.obs.copy())
    # the threshold is not used here, and choosing one would need scikit-image
    sc.pp.scrublet(scored, expected_doublet_rate=share, threshold=0.25, random_state=seed, verbose=False)
    kind, score = scored.obs["doublet_type"], scored.obs["doublet_score"]
    aucs = {}
    for name, kinds in AUCS.items():
        chosen = kind.isin(["singlet", *kinds]) & score.notna()
        is_doublet = kind[chosen] != "singlet"
        aucs[name] = float(roc_auc_score(is_doublet, score[chosen])) if is_doublet.any() else float("nan")
    n = kind.value_counts()
    return {"cells": len(kind), "of two types": int(n["heterotypic"]), "of one type": int(n["homotypic"]), **aucs}


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over the seeds; a row a dataset and set of cells."""
    groups = table.groupby(["data", "doublets"], sort=False)
    mean, sd = groups[list(AUCS)].mean(), groups[list(AUCS)].std()
    told = {name: [f"{m:.3f} ± {s:.3f}" for m, s in zip(mean[name], sd[name], strict=True)] for name in AUCS}
    numbers = groups[["cells", "of two types", "of one type"]].mean().round().astype(int)
    return numbers.assign(seeds=groups.size(), **told).reset_index()


def main() -> None:
    """Run every file and seed, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--share", type=float, default=0.1, help="share of doublets among the cells")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder to write to")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for path in args.data:
        for seed in args.seeds:
            parts = split(path, args.labels_key, seed)
            real = unseen_cells(parts)
            known = real.obs[args.labels_key].isin(parts["train"].obs[args.labels_key].unique())
            real = real[known.to_numpy()].copy()
            types = real.obs[args.labels_key].tolist()
            sets = {"real": real, "generated": train_and_generate(parts["train"], types, args.labels_key, seed)}
            for name, cells in sets.items():
                made = doublets(cells, args.share, labels_key=args.labels_key, seed=seed)
                rows.append({"data": path.stem, "seed": seed, "doublets": name, **found(made, args.share, seed)})
            table = pd.DataFrame(rows)
            print(table.tail(2).round(3).to_string(index=False), flush=True)
            # after each, so that a run that is broken off has told what it found
            table.round(4).to_csv(args.out / "doublets.csv", index=False)
            (args.out / "doublets.md").write_text(summary(table).to_markdown(index=False) + "\n")


if __name__ == "__main__":
    main()
