"""The paper's experiments on one dataset, its configuration beside ours.

    python benchmarks/paper.py --data FILE [--labels-key cell_type] [--out FOLDER] [--only NAME ...]

Splits the file 60/20/20 (train, test, floor), trains ACTIVA with its defaults and as published (610 epochs: an hour for
3,000 cells on two cores), runs every experiment of activa.experiments on what they generate, and writes
FOLDER/<dataset>/report.md with the tables and figures beside the paper's numbers. What is done is kept there and not done
again; a run that was cut off goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import _paper_report
import anndata as ad
import pandas as pd
from _augmentation import augment
from _data import split
from _paper_models import Models

from activa import experiments
from activa.experiments.trainings import TYPE


class Paper:
    """The experiments, each a method that gives its table."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.folder = args.out / args.data.stem
        self.folder.mkdir(parents=True, exist_ok=True)
        epochs = {"default": args.epochs, "paper": args.paper_epochs}
        self.models = Models(split(args.data, args.labels_key, seed=0), args.labels_key, self.folder, epochs)

    @cached_property
    def sets(self) -> tuple[ad.AnnData, dict[str, ad.AnnData]]:
        """Test cells, and what they are compared with."""
        return self.models.log_normalized(self.models.real["test"]), self.models.generated()

    def _compare(self, experiment: Callable, **kwargs) -> pd.DataFrame:
        return experiment(*self.sets, normalized=True, **kwargs)

    def rf_detection(self) -> pd.DataFrame:
        """A forest of 1,000 trees."""
        return self._compare(experiments.rf_detection, labels_key=TYPE)

    def correlation_discrepancy(self) -> pd.DataFrame:
        """The top 5 markers of each type."""
        return self._compare(experiments.correlation_discrepancy, labels_key=TYPE)

    def marker_expression(self) -> pd.DataFrame:
        """The top 5 markers of the two largest types."""
        return self._compare(experiments.marker_expression, labels_key=TYPE)

    def manifold(self) -> pd.DataFrame:
        """UMAP and t-SNE, with the best marker of the largest type."""
        best = self.table("marker_expression")["gene"].iloc[0]
        return self._compare(experiments.manifold, labels_key=TYPE, genes=[best])

    def dropout_curve(self) -> pd.DataFrame:
        """All genes."""
        return self._compare(experiments.dropout_curve)

    def differential_state(self) -> pd.DataFrame:
        """5 pseudo-replicates."""
        return self._compare(experiments.differential_state, labels_key=TYPE)

    def classifier_report(self) -> pd.DataFrame:
        """The classifier as published, trained beside the model on values scaled to 20,000."""
        train, test = (self.models.input(part, "paper") for part in ("train", "test"))
        return experiments.classifier_report(self.models.trained("paper")[0], train, test, labels_key=TYPE)

    def training(self) -> pd.DataFrame:
        """Seconds to train."""
        return self.models.training()

    def generation(self) -> pd.DataFrame:
        """Seconds to generate."""
        return self.models.generation(self.args.generated)

    def augmentation(self) -> pd.DataFrame:
        """A large type with few cells left."""
        return augment(
            ad.read_h5ad(self.args.data),
            self.args.labels_key,
            self.folder / "augmentation-rows.csv",
            self.args.augmentation_seeds,
            self.args.scvi_epochs,
            max_epochs=self.args.epochs,
        )

    def scaling(self) -> pd.DataFrame:
        """Random matrices, 17,789 genes, 30% non-zero."""
        return experiments.scaling(self.args.scaling_cells, max_epochs=1, n_generated=1_000)

    def table(self, name: str) -> pd.DataFrame:
        """An experiment's table, computed unless it is kept."""
        file = self.folder / f"{name}.csv"
        if not file.exists():
            print(f"{self.args.data.stem}: {name}", flush=True)
            table = getattr(self, name)()
            partial = file.with_suffix(".partial")
            table.to_csv(partial, index=False)
            partial.rename(file)
        names = dict.fromkeys(("set", "type", "gene", "other_gene", "label", "method"), str)
        return pd.read_csv(file, dtype=names, keep_default_na=True)


def main() -> None:
    """Run what is missing and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="h5ad file of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--only", nargs="+", choices=_paper_report.EXPERIMENTS, default=list(_paper_report.EXPERIMENTS))
    parser.add_argument("--epochs", type=int, help="of ours, for a quick try; its default otherwise")
    parser.add_argument("--paper-epochs", type=int, help="of the paper's configuration; 610 otherwise")
    parser.add_argument("--scvi-epochs", type=int, help="of scVI in the augmentation; its default, 400, otherwise")
    parser.add_argument("--augmentation-seeds", type=int, default=5)
    parser.add_argument("--generated", type=int, default=100_000, help="cells that generation is timed with")
    parser.add_argument("--scaling-cells", type=int, nargs="+", default=[1_000, 2_000, 4_000])
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "runs" / "paper", help="folder of the results"
    )
    args = parser.parse_args()
    paper = Paper(args)
    for name in args.only:
        paper.table(name)
    done = [name for name in _paper_report.EXPERIMENTS if (paper.folder / f"{name}.csv").exists()]
    _paper_report.write(paper.folder, done, paper.table)


if __name__ == "__main__":
    main()
