"""The demo: train on real cells, generate as many, and compare them with cells the model has not seen."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from time import perf_counter

import pandas as pd
from sklearn.model_selection import train_test_split

from activa import datasets, metrics, pl
from activa.io.atomic import atomic_folder
from activa.model import ACTIVA


def run_demo(output: Path, *, seed: int = 0, overwrite: bool = False) -> pd.DataFrame:
    """Data, model, cells, table and picture, each step timed on stderr.

    Parameters
    ----------
    output
        Folder, written whole: ``synthetic.h5ad``, ``metrics.csv``, ``umap.png``.
    seed
        Of the split, the model, the cells and the comparison.
    overwrite
        Whether to replace a demo's folder that is there.

    Returns
    -------
    The table of metrics.

    Raises
    ------
    FileExistsError
        If the folder is there, and ``overwrite`` is not set or it is none of a demo.

    Examples
    --------
    >>> run_demo(Path("demo"))
    """
    # Lightning's notes on hardware, tips and logging steps
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with (
        warnings.catch_warnings(),
        atomic_folder(output, overwrite=overwrite, what="demo", marks=("metrics.csv",)) as part,
    ):
        warnings.filterwarnings("ignore", module="lightning")
        clock = _Clock()
        adata = datasets.pbmc68k_reduced()
        train_cells, held_out_cells = train_test_split(
            adata.obs_names, test_size=0.4, stratify=adata.obs["cell_type"], random_state=seed
        )
        train, held_out = adata[train_cells].copy(), adata[held_out_cells].copy()
        clock.done(f"loaded {adata.n_obs} cells x {adata.n_vars} genes; {train.n_obs} train, {held_out.n_obs} held out")

        ACTIVA.setup_anndata(train, labels_key="cell_type")
        model = ACTIVA(train)
        model.train(seed=seed)
        clock.done("trained")

        synthetic = model.generate(adata.n_obs, labels_key="cell_type", seed=seed)
        synthetic.write_h5ad(part / "synthetic.h5ad")
        clock.done(f"generated {synthetic.n_obs} cells of {synthetic.obs['cell_type'].nunique()} types")

        table = metrics.evaluate(held_out, synthetic, labels_key="cell_type", train=train, seed=seed)
        table.to_csv(part / "metrics.csv")
        clock.done("evaluated")

        pl.umap(held_out, synthetic, labels_key="cell_type", seed=seed, save=part / "umap.png", show=False)
        clock.done("drew the UMAP")
    return table


class _Clock:
    """Prints how long each step took."""

    def __init__(self) -> None:
        self.last = perf_counter()

    def done(self, step: str) -> None:
        """Print the step that has just ended and its seconds."""
        now = perf_counter()
        print(f"{now - self.last:6.1f} s  {step}", file=sys.stderr, flush=True)
        self.last = now
