"""Train activa on real cells, generate as many, and compare them with cells the model has not seen.

Run by ``make demo``; takes a few minutes on two cores and writes ``demo/``. ``activa demo`` is the same, its table for
programs to read.
"""

from pathlib import Path

import pandas as pd

from activa.cli.demo import run_demo

OUT = Path("demo")


def main() -> None:
    """The demo, its table for people to read."""
    table = run_demo(OUT, overwrite=True)
    with pd.option_context("display.max_columns", None, "display.width", None, "display.max_colwidth", None):
        print("\nvalue: synthetic cells; floor: other real cells in their place; best: a perfect generator\n")
        print(table.drop(columns="description").round(3).to_string())
    print(f"\nIn {OUT}/: synthetic.h5ad, metrics.csv (with what each metric is), umap.png")


if __name__ == "__main__":
    main()
