"""What generated cells give away about the training cells, beside other generators and beside real cells.

    python benchmarks/privacy.py --data FILE [FILE ...] [--scvi-shadows FILE ...] [--scvi-epochs 100]

Splits each file by type into training cells, as many held-out cells that are attacked beside them, and half as many that
stand in the place of the generated ones for the floor, and from whose distances ``refuse`` has its limit; of the 2,000
genes of largest variance. Each generator is trained on the training cells and gives as many cells, and is trained again as a
shadow of itself (``activa.metrics.privacy.shadow_attack``): scVI, which takes longest, on the files of --scvi-shadows only,
with fewer epochs, target and shadows alike, if --scvi-epochs says so. Cells and rows that are in --out are not made again.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from _data import assign_parts
from _report import show
from scipy.sparse import csr_matrix

from activa.data import log_normalize
from activa.metrics import evaluate, privacy
from activa.metrics.space import variable_genes

FRACTIONS = {"train": 0.4, "held_out": 0.4, "floor": 0.2}
OURS, REFUSING, SCVI, COPIES = "ACTIVA", "ACTIVA, refusing", "scVI, posterior", "training cells"
METHOD_OF = {OURS: "activa", REFUSING: "activa", SCVI: "scvi", COPIES: "bootstrap"}
REALISM = ["rf_auc", "wasserstein"]

type Cells = dict[str, ad.AnnData]


def read_parts(path: Path, labels_key: str, seed: int) -> Cells:
    """The three sets of cells, of the variable genes; cells without a count of these are left out."""
    adata = ad.read_h5ad(path)
    adata = adata[:, variable_genes(log_normalize(csr_matrix(adata.X)))]
    adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0]
    labels = adata.obs[labels_key].astype(str)
    part = assign_parts(labels, seed, FRACTIONS)
    obs = pd.DataFrame({labels_key: pd.Categorical(labels)}, index=adata.obs_names)
    adata = ad.AnnData(csr_matrix(adata.X, dtype=np.float32), obs=obs, var=adata.var[[]])
    return {name: adata[part == name].copy() for name in FRACTIONS}


def activa(train: ad.AnnData, seed: int, floor: ad.AnnData, labels_key: str) -> Cells:
    """ACTIVA with its defaults, without and with the refusal of close cells."""
    from activa import ACTIVA

    ACTIVA.setup_anndata(train, labels_key=labels_key)
    model = ACTIVA(train, seed=seed)
    model.train(seed=seed, enable_progress_bar=False)
    refuse = privacy.TooClose(train, floor, labels_key=labels_key)
    cells = model.generate(train.n_obs, seed=seed)
    cells.uns = {"refused": float(refuse.refuses(cells).mean())}
    return {OURS: cells, REFUSING: model.generate(train.n_obs, seed=seed, refuse=refuse)}


def scvi(
    train: ad.AnnData,
    seed: int,
    floor: ad.AnnData,
    labels_key: str,
    *,
    name: str = SCVI,
    max_epochs: int | None = None,
) -> Cells:
    """The counts that scVI, with its defaults but for the epochs, predicts for each training cell."""
    import scvi

    scvi.settings.seed = seed % 2**31
    scvi.model.SCVI.setup_anndata(train)
    model = scvi.model.SCVI(train)
    model.train(max_epochs=max_epochs, enable_progress_bar=False)
    counts = model.posterior_predictive_sample().to_scipy_sparse().tocsr().astype(np.float32)
    return {name: ad.AnnData(counts, obs=train.obs[[labels_key]], var=train.var[[]])}


def bootstrap(train: ad.AnnData, seed: int, floor: ad.AnnData, labels_key: str) -> Cells:
    """Training cells drawn with replacement."""
    drawn = np.random.default_rng(seed).integers(train.n_obs, size=train.n_obs)
    obs = train.obs.iloc[drawn].set_axis([f"drawn_{i}" for i in range(len(drawn))])
    return {COPIES: ad.AnnData(train.X[drawn], obs=obs, var=train.var[[]])}


METHODS: dict[str, Callable[..., Cells]] = {"activa": activa, "scvi": scvi, "bootstrap": bootstrap}


def made(train: ad.AnnData, seed: int, *, name: str, folder: Path, floor: ad.AnnData, labels_key: str) -> ad.AnnData:
    """Cells by a generator trained with this seed, from the folder if they are there."""
    file = folder / f"{name}-{seed}.h5ad"
    if not file.exists():
        method = METHOD_OF[name]
        start = time.perf_counter()
        for its_name, cells in METHODS[method](train.copy(), seed, floor, labels_key).items():
            cells.write_h5ad(folder / f"{its_name}-{seed}.h5ad")
        print(f"{folder.name}: {method} trained in {time.perf_counter() - start:.0f} s", flush=True)
    return ad.read_h5ad(file)


def rows_of(parts: Cells, name: str, args: argparse.Namespace, folder: Path, shadows: bool) -> pd.DataFrame:
    """All figures of one generator."""
    make = partial(made, name=name, folder=folder, floor=parts["floor"], labels_key=args.labels_key)
    cells = make(parts["train"], args.seed)
    table = privacy.evaluate(
        parts["train"],
        parts["held_out"],
        cells,
        floor=parts["floor"],
        labels_key=args.labels_key,
        generator=make if shadows else None,
        n_shadows=args.shadows,
        seed=args.seed,
    )
    realism = evaluate(
        parts["held_out"],
        cells,
        labels_key=args.labels_key,
        train=parts["train"],
        metrics=REALISM,
        seed=args.seed,
    )
    table = pd.concat([table, realism])[["value", "floor", "best"]]
    if "refused" in cells.uns:
        table.loc["refused"] = [float(cells.uns["refused"]), np.nan, np.nan]
    table.insert(0, "generator", name)
    table.insert(0, "dataset", folder.name)
    return table.rename_axis("metric").reset_index()


def _floor(values: pd.Series) -> str:
    shown = sorted({show(value) for value in values.dropna()}, key=float)
    return "–" if not shown else shown[0] if len(shown) == 1 else f"{shown[0]} to {shown[-1]}"


def report(rows: pd.DataFrame, sizes: dict[str, int]) -> str:
    """A table a dataset, as Markdown."""
    sections = []
    for dataset, its_rows in rows.groupby("dataset", sort=False):
        metrics = list(dict.fromkeys(its_rows["metric"]))
        table = pd.DataFrame(index=pd.Index(metrics, name="metric"))
        best = its_rows.groupby("metric")["best"].first()
        table["best"] = [show(best[m]) if not pd.isna(best[m]) else "–" for m in metrics]
        table["real cells"] = [_floor(its_rows.loc[its_rows.metric == m, "floor"]) for m in metrics]
        for name in dict.fromkeys([*METHOD_OF, *its_rows.generator]):
            values = its_rows[its_rows.generator == name].set_index("metric")["value"].reindex(metrics)
            if values.notna().any():
                table[name] = values.map(show)
        n = sizes.get(str(dataset))
        note = "" if n is None else f" ({n:,} training cells)"
        sections.append(f"### {dataset}{note}\n\n{table.to_markdown(disable_numparse=True)}\n")
    return "\n".join(sections)


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--scvi-shadows", type=Path, nargs="*", default=[], help="those that scVI is shadowed on")
    parser.add_argument("--scvi-epochs", type=int, help="of scVI where it is shadowed; its default otherwise")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--shadows", type=int, default=6, help="shadow generators")
    parser.add_argument("--seed", type=int, default=0, help="of the split, training, draws and shadows")
    parser.add_argument("--cells", type=Path, help="folder of the cells that are made; privacy in --out by default")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    csv, rows, sizes = args.out / "privacy.csv", pd.DataFrame(columns=["dataset", "generator", "metric"]), {}
    if csv.exists():
        rows = pd.read_csv(csv)
    # scVI's shadows come last: they take the longest
    jobs = [(path, name, name != SCVI) for name in METHOD_OF for path in args.data]
    shadowed = SCVI
    if args.scvi_epochs is not None:
        shadowed = f"{SCVI}, {args.scvi_epochs} epochs"
        METHOD_OF[shadowed] = shadowed
        METHODS[shadowed] = partial(scvi, name=shadowed, max_epochs=args.scvi_epochs)
    for path, name, shadows in [*jobs, *((path, shadowed, True) for path in args.scvi_shadows)]:
        folder = (args.cells or args.out / "privacy") / path.stem
        folder.mkdir(parents=True, exist_ok=True)
        parts = read_parts(path, args.labels_key, args.seed)
        sizes[path.stem] = parts["train"].n_obs
        of = (rows.dataset == path.stem) & (rows.generator == name)
        if of.any() and (not shadows or (rows[of].metric == "shadow_auc").any()):
            continue
        start = time.perf_counter()
        rows = pd.concat([rows[~of], rows_of(parts, name, args, folder, shadows)])
        print(f"{path.stem}, {name}: {time.perf_counter() - start:.0f} s", flush=True)
        rows.to_csv(csv, index=False)
        (args.out / "privacy.md").write_text(report(rows, sizes))
    (args.out / "privacy.md").write_text(report(rows, sizes))


if __name__ == "__main__":
    main()
