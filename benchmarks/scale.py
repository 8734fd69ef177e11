"""How the cost of training and of generation grows with cells: the random matrices of the paper's Table S4.

    python benchmarks/scale.py [--cells 10000 20000 50000] [--epochs 1] [--folder FOLDER]

Each matrix (17,789 genes, 30% of the values not zero) has a process of its own, so that its peak memory is told apart.
With --folder matrices are in files and read from there in training. Writes ``results/scale.csv`` and ``scale.md``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pandas as pd

from activa.experiments import scaling


def main() -> None:
    """Measure each size and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 20_000, 50_000])
    parser.add_argument("--genes", type=int, default=17_789)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--generated", type=int, default=5_000, help="cells to generate")
    parser.add_argument("--folder", type=Path, help="where to keep matrices that are read from files")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder to write to")
    parser.add_argument("--run", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        found = scaling(
            (args.run,), n_genes=args.genes, max_epochs=args.epochs, n_generated=args.generated, folder=args.folder
        )
        print("\nRESULT\n" + found.to_csv(index=False))
        return
    rows = []
    for n in args.cells:
        command = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--run", str(n)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(pd.read_csv(StringIO(output.split("RESULT\n")[1])))
        table = pd.concat(rows, ignore_index=True)
        table["ms_per_cell"] = 1e3 * table["seconds_per_epoch"] / table["n_cells"]
        table["of_smallest"] = table["ms_per_cell"] / table["ms_per_cell"].iloc[0]
        args.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(args.out / "scale.csv", index=False)
        shown = [
            "n_cells",
            "seconds_per_epoch",
            "ms_per_cell",
            "of_smallest",
            "n_generated",
            "seconds_generate",
            "peak_gb",
        ]
        (args.out / "scale.md").write_text(table[shown].round(3).to_markdown(index=False) + "\n")
        print(table[shown].round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
