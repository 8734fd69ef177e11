"""Seconds and memory of ``evaluate`` as cells grow, and how far its figures for many cells are from the exact ones.

    python benchmarks/evaluation_scale.py [--cells 5000 20000 100000] [--exact 20000] [--genes 2000] [--data FILE]

Four sets of so many cells each stand for held-out, training, floor and synthetic cells: made counts of ten types, or cells
drawn from a file. The synthetic ones have lost a fifth of their counts. Every size has a process of its own, in which the
peak is reset before each metric (Linux only); the exact figures, without any limit on the cells, have another. Seconds are
the processor's, so that other work on the machine does not count: run it with one thread (``OMP_NUM_THREADS=1
LOKY_MAX_CPU_COUNT=1``) to read them as time. Writes ``results/evaluation_scale.csv`` and ``.md``; rows that are in the first
already and not asked for again stay.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack

from activa.metrics import (
    METRICS,
    copy_ratio,
    evaluate,
    membership_auc,
    mixing,
    mmd,
    mmd_per_type,
    rf_auc,
    space,
    tstr_f1,
    wasserstein,
)

SETS = ("real", "train", "floor", "synthetic")
N_TYPES, N_FACTORS, KEPT = 10, 8, 0.8
ALL = 10**9  # more cells than there are
FEW_TREES, FEW = 20, "rf_auc, 20 trees"  # all 500 on all cells would take an hour
BLOCK = 5_000  # the largest assignment problem that is solved here
REST = "reading and components"


def _members(c, max_cells: int) -> float:
    sets = c.space.project_together(c.space.reference, c.real, c.synthetic)
    return membership_auc(*sets, max_cells=max_cells, seed=c.seed)


EXACT = {
    FEW: lambda c: rf_auc(*c.joint_components, n_trees=FEW_TREES, seed=c.seed, max_cells=ALL),
    "mmd": lambda c: mmd(*c.components, seed=c.seed, max_cells=ALL),
    "mmd_per_type": lambda c: mmd_per_type(*c.components, c.real.types, c.synthetic.types, seed=c.seed, max_cells=ALL),
    "wasserstein": lambda c: wasserstein(*c.components, seed=c.seed, max_cells=BLOCK),
    "mixing": lambda c: mixing(*c.components, seed=c.seed, max_cells=ALL),
    "tstr_f1": lambda c: tstr_f1(
        c.components[0], c.real.types, c.components[1], c.synthetic.types, seed=c.seed, max_cells=ALL
    ),
    "copy_ratio": lambda c: copy_ratio(c.space.reference_components, *c.components, seed=c.seed, max_cells=ALL),
    "membership_auc": lambda c: _members(c, ALL),
}


def made_counts(n_cells: int, n_genes: int, seed: int) -> ad.AnnData:
    """Negative binomial counts of ten types of falling size, with eight directions of variation in each."""
    law = np.random.default_rng(0)
    profiles = law.gamma(0.3, size=(N_TYPES, n_genes)) / 2 + law.gamma(0.3, size=n_genes)
    loadings = law.normal(0, 0.25, size=(N_FACTORS, n_genes)).astype(np.float32)
    shares = 0.7 ** np.arange(N_TYPES)
    rng = np.random.default_rng([1, seed])
    types = rng.choice(N_TYPES, n_cells, p=shares / shares.sum())
    blocks = []
    for chosen in np.array_split(types, max(n_cells // 2_000, 1)):
        factors = rng.normal(size=(len(chosen), N_FACTORS)).astype(np.float32)
        rates = profiles[chosen].astype(np.float32) * np.exp(factors @ loadings)
        library = rng.lognormal(np.log(n_genes / 5), 0.3, len(chosen)).astype(np.float32)
        rates *= (library / rates.sum(axis=1))[:, None]
        rates *= rng.standard_gamma(2, rates.shape, dtype=np.float32) / 2
        blocks.append(csr_matrix(rng.poisson(rates).astype(np.float32)))
    obs = pd.DataFrame({"cell_type": pd.Categorical(types.astype(str))}, index=np.arange(n_cells).astype(str))
    var = pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)])
    return ad.AnnData(vstack(blocks, format="csr"), obs=obs, var=var)


def write_sets(folder: Path, n_cells: int, n_genes: int, data: Path | None, labels_key: str) -> None:
    """The four sets as h5ad."""
    rng = np.random.default_rng(0)
    whole = None if data is None else ad.read_h5ad(data)
    if whole is not None and whole.n_obs < len(SETS) * n_cells:
        raise ValueError(f"{data} has {whole.n_obs} cells; {len(SETS)} sets of {n_cells} are asked for.")
    order = None if whole is None else rng.permutation(whole.n_obs)
    for i, name in enumerate(SETS):
        if whole is None:
            cells = made_counts(n_cells, n_genes, seed=i)
        else:
            cells = whole[order[i * n_cells : (i + 1) * n_cells]].copy()
            cells = ad.AnnData(
                csr_matrix(cells.X, dtype=np.float32),
                obs=cells.obs[[labels_key]].set_axis(["cell_type"], axis=1),
                var=cells.var[[]],
            )
        if name == "synthetic":
            cells.X.data = rng.binomial(cells.X.data.astype(int), KEPT).astype(np.float32)
            cells.X.eliminate_zeros()
        cells.write_h5ad(folder / f"{name}-{n_cells}.h5ad")


def reset_peak() -> None:
    """Start the process's peak of resident memory anew."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Largest resident memory since then, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def run(folder: Path, n_cells: int, exact: bool, metrics: list[str]) -> pd.DataFrame:
    """Seconds, peak, value and floor of each metric in this process."""
    METRICS[FEW] = dataclasses.replace(
        METRICS["rf_auc"], compute=lambda c: rf_auc(*c.joint_components, n_trees=FEW_TREES, seed=c.seed)
    )
    if exact:
        space.MAX_FITTED = 2 * ALL
        for name, compute in EXACT.items():
            METRICS[name] = dataclasses.replace(METRICS[name], compute=compute)
    cost = {REST: [0.0, 0]}

    def timed(name: str, compute):
        def timed_compute(comparison) -> float:
            # made once for all metrics, and counted apart
            _ = comparison.joint_components, comparison.components, comparison.space.reference_components
            cost[REST][1] = max(cost[REST][1], peak())
            reset_peak()
            start = time.process_time()
            value = compute(comparison)
            seconds, highest = cost.get(name, (0.0, 0))
            cost[name] = [seconds + time.process_time() - start, max(highest, peak())]
            reset_peak()
            return value

        return timed_compute

    for name in metrics:
        METRICS[name] = dataclasses.replace(METRICS[name], compute=timed(name, METRICS[name].compute))
    sets = {name: ad.read_h5ad(folder / f"{name}-{n_cells}.h5ad") for name in SETS}
    start = time.process_time()
    table = evaluate(
        sets["real"],
        sets["synthetic"],
        labels_key="cell_type",
        train=sets["train"],
        floor=sets["floor"],
        metrics=metrics,
    )
    cost[REST][0] = time.process_time() - start - sum(seconds for seconds, _ in cost.values())
    rows = pd.DataFrame.from_dict(cost, orient="index", columns=["seconds", "peak_mib"]).join(table[["value", "floor"]])
    rows.insert(0, "kind", "exact" if exact else "evaluate")
    rows.insert(1, "cells", n_cells)
    return rows.rename_axis("metric").reset_index()


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.2e}" if 0 < abs(value) < 0.01 else f"{value:.4g}"


def report(rows: pd.DataFrame, note: str) -> str:
    """Both tables, as Markdown."""
    order = [REST, *(name for name in METRICS if name != FEW)]
    cost = rows[(rows.kind == "evaluate") & (rows.metric != FEW)].pivot(index="metric", columns="cells")
    sizes = sorted(set(cost.columns.get_level_values("cells")))
    table = pd.DataFrame(index=[name for name in order if name in cost.index])
    for size in sizes:
        table[f"{size:,} cells, s"] = cost["seconds"][size].map(lambda x: "–" if pd.isna(x) else f"{x:.1f}")
        table[f"{size:,} cells, peak MiB"] = cost["peak_mib"][size].map(lambda x: "–" if pd.isna(x) else f"{x:,.0f}")
    table.loc["in all"] = [
        f"{cost['seconds'][size].sum():,.0f}" if kind == 0 else f"{cost['peak_mib'][size].max():,.0f}"
        for size in sizes
        for kind in (0, 1)
    ]
    text = f"{note}\n\n{table.rename_axis('metric').to_markdown(disable_numparse=True)}\n"
    exact = rows[(rows.kind == "exact") & rows.value.notna()].merge(
        rows[rows.kind == "evaluate"], on=["metric", "cells"], suffixes=("_exact", "")
    )
    if exact.empty:
        return text
    lines = [
        {
            "metric": f"{row.metric} (exact: blocks of {BLOCK:,})" if row.metric == "wasserstein" else row.metric,
            "exact": _number(row.value_exact),
            "evaluate": _number(row.value),
            "difference": _number(row.value - row.value_exact),
            "floor, exact": _number(row.floor_exact),
            "floor": _number(row.floor),
            "floor, difference": _number(row.floor - row.floor_exact),
            "exact, s": f"{row.seconds_exact:.1f}",
            "s": f"{row.seconds:.1f}",
        }
        for row in exact.itertuples()
    ]
    size = ", ".join(f"{size:,}" for size in sorted(exact.cells.unique()))
    text += (
        f"\nThe metrics with a limit on the cells, beside the exact ones, {size} cells a side:\n\n"
        f"{pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)}\n"
    )
    return text


def main() -> None:
    """Run every size, each in a process, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="*", default=[5_000, 20_000, 100_000], help="cells of a set")
    parser.add_argument("--exact", type=int, nargs="*", default=[20_000], help="those that the exact figures are for")
    parser.add_argument("--metrics", nargs="+", help="all by default")
    parser.add_argument("--genes", type=int, default=2_000, help="genes of made counts")
    parser.add_argument("--data", type=Path, help="h5ad of counts, instead of made ones")
    parser.add_argument("--labels-key", default="cell_type", help="column of its obs with the types")
    parser.add_argument("--folder", type=Path, help="where the sets are kept; a temporary one by default")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        kind, n_cells = args.run
        rows = run(args.folder, int(n_cells), kind == "exact", args.metrics)
        rows.to_csv(args.folder / "rows.csv", index=False)
        return
    args.out.mkdir(exist_ok=True, parents=True)
    csv = args.out / "evaluation_scale.csv"
    rows = pd.read_csv(csv) if csv.exists() else pd.DataFrame()
    source = f"made counts ({args.genes:,} genes)" if args.data is None else args.data.stem
    note = (
        f"`evaluate` on {source}, by `benchmarks/evaluation_scale.py`: as many cells in each of four sets, and each "
        "metric computed twice, for the value and for the floor. Seconds are processor seconds. The peak is the process's resident memory while the "
        "metric runs; it has the four sets and the imported libraries in it."
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(exist_ok=True, parents=True)
        for kind, n_cells in [("evaluate", n) for n in args.cells] + [("exact", n) for n in args.exact]:
            if not (folder / f"{SETS[-1]}-{n_cells}.h5ad").exists():
                write_sets(folder, n_cells, args.genes, args.data, args.labels_key)
            names = list(EXACT) if kind == "exact" else [*METRICS, FEW]
            asked = args.metrics or (names if n_cells in args.exact else [*METRICS])
            names = [name for name in names if name in asked]
            command = [sys.executable, "-W", "ignore", __file__, "--folder", str(folder), "--run", kind, str(n_cells)]
            subprocess.run([*command, "--metrics", *names], check=True)
            rows = pd.concat([rows, pd.read_csv(folder / "rows.csv")])
            rows = rows.drop_duplicates(["kind", "cells", "metric"], keep="last")
            rows.round({"seconds": 2}).to_csv(csv, index=False)
            print(rows[(rows.kind == kind) & (rows.cells == n_cells)].to_string(index=False), flush=True)
            (args.out / "evaluation_scale.md").write_text(report(rows, note))


if __name__ == "__main__":
    main()
