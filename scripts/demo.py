"""Train activa on real cells, generate cells, and compare them with cells the model has not seen.

``make demo`` runs this script; it takes a few minutes on two cores and writes ``demo/``. ``activa demo`` does the same
and prints a machine-readable table.
"""

from pathlib import Path

import pandas as pd

from activa.cli.commands import demo
from activa.metrics import judge

OUT = Path("demo")


def main() -> None:
    """Run the demo and print its table in a readable form."""
    table = demo(OUT, overwrite=True)
    with pd.option_context("display.max_columns", None, "display.width", None, "display.max_colwidth", None):
        print("\nvalue: synthetic cells; low to high: its 95% interval; floor: other real cells instead\n")
        print(table[["value", "low", "high", "floor", "judgment"]].round(3).to_string())
        verdict = judge(table)
        print("", verdict.headline, *verdict.findings, sep="\n")
    print(f"\nIn {OUT}/: synthetic.h5ad, metrics.csv (with a description of each metric), umap.png")


if __name__ == "__main__":
    main()
