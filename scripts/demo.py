"""Train activa on real cells, generate as many, and compare them with cells the model has not seen.

Run by ``make demo``; takes a few minutes on two cores and writes ``demo/``.
"""

import logging
import warnings
from pathlib import Path
from time import perf_counter

import pandas as pd
from sklearn.model_selection import train_test_split

import activa

OUT = Path("demo")
SEED = 0


def main() -> None:
    """Data, model, cells, table and picture, each step timed."""
    # Lightning's notes on hardware, tips and logging steps
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    OUT.mkdir(exist_ok=True)
    clock = Clock()

    adata = activa.datasets.pbmc68k_reduced()
    train_cells, held_out_cells = train_test_split(
        adata.obs_names, test_size=0.4, stratify=adata.obs["cell_type"], random_state=SEED
    )
    train, held_out = adata[train_cells].copy(), adata[held_out_cells].copy()
    clock.done(f"loaded {adata.n_obs} cells x {adata.n_vars} genes; {train.n_obs} train, {held_out.n_obs} held out")

    activa.ACTIVA.setup_anndata(train, labels_key="cell_type")
    model = activa.ACTIVA(train)
    model.train(seed=SEED)
    clock.done("trained")

    synthetic = model.generate(adata.n_obs, labels_key="cell_type", seed=SEED)
    synthetic.write_h5ad(OUT / "synthetic.h5ad")
    clock.done(f"generated {synthetic.n_obs} cells of {synthetic.obs['cell_type'].nunique()} types")

    table = activa.metrics.evaluate(held_out, synthetic, labels_key="cell_type", train=train, seed=SEED)
    table.to_csv(OUT / "metrics.csv")
    clock.done("evaluated")

    figure = activa.pl.umap(held_out, synthetic, labels_key="cell_type", seed=SEED)
    figure.savefig(OUT / "umap.png", dpi=150, bbox_inches="tight")
    clock.done("drew the UMAP")

    with pd.option_context("display.max_columns", None, "display.width", None, "display.max_colwidth", None):
        print("\nvalue: synthetic cells; floor: other real cells in their place; best: a perfect generator\n")
        print(table.drop(columns="description").round(3).to_string())
    print(f"\nIn {OUT}/: synthetic.h5ad, metrics.csv (with what each metric is), umap.png")


class Clock:
    """Prints how long each step took."""

    def __init__(self) -> None:
        self.last = perf_counter()

    def done(self, step: str) -> None:
        """Print the step that has just ended and its seconds."""
        now = perf_counter()
        print(f"{now - self.last:6.1f} s  {step}", flush=True)
        self.last = now


if __name__ == "__main__":
    main()
