"""What the realism benchmark keeps of one dataset: a folder with the cost, the cells and the scores of every run."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

REAL = "real"  # second set of real cells, in the place of a generator


class Results:
    """A dataset's folder. A run is a method (``scvi``) and a seed; it may give cells under several names."""

    def __init__(self, out: Path, dataset: str):
        self.dataset, self.folder = dataset, out / dataset

    def cost_file(self, method: str, seed: int) -> Path:
        """Seconds, versions and arguments of a run. It is written last: what has one is done."""
        return self.folder / f"{method}-{seed}.json"

    def cells_file(self, name: str, seed: int) -> Path:
        """Cells of the test set's types."""
        return self.folder / f"{name}-{seed}.h5ad"

    def rare_file(self, name: str, seed: int) -> Path:
        """Further cells of rare types; not every method makes them."""
        return self.folder / f"{name}-rare-{seed}.h5ad"

    def scores_file(self, name: str, seed: int) -> Path:
        """The metrics, a row each."""
        return self.folder / f"{name}-{seed}.csv"

    def scores(self, name: str, seed: int) -> dict[str, float]:
        """The metrics that are known."""
        file = self.scores_file(name, seed)
        return pd.read_csv(file, index_col="metric")["value"].to_dict() if file.exists() else {}

    def add_scores(self, name: str, seed: int, scores: dict[str, float]) -> None:
        """Keep further metrics."""
        table = pd.DataFrame({"value": self.scores(name, seed) | scores})
        table.rename_axis("metric").to_csv(self.scores_file(name, seed))

    def runs(self) -> list[tuple[str, int, dict]]:
        """Method, seed and cost of every run that is done."""
        found = []
        for file in sorted(self.folder.glob("*.json")):
            method, _, seed = file.stem.rpartition("-")
            found.append((method, int(seed), json.loads(file.read_text())))
        return found

    def real_seeds(self) -> list[int]:
        """The splits in which real cells have been scored."""
        return sorted(int(file.stem.rpartition("-")[2]) for file in self.folder.glob(f"{REAL}-*.csv"))
