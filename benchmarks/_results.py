"""What the realism benchmark keeps of one dataset: a folder with the cost, the cells and the scores of every run."""

from __future__ import annotations

import json
from pathlib import Path


class Results:
    """A dataset's folder. A run is a method (``scvi``) and a seed; it may give cells under several names."""

    def __init__(self, out: Path, dataset: str):
        self.dataset, self.folder = dataset, out / dataset

    def cost_file(self, method: str, seed: int) -> Path:
        """Seconds, versions and arguments of a run. It is written last: what has one is done."""
        return self.folder / f"{method}-{seed}.json"

    def cells_file(self, name: str, seed: int) -> Path:
        """Cells of the unseen cells' types."""
        return self.folder / f"{name}-{seed}.h5ad"

    def refit_files(self, name: str, seed: int) -> tuple[Path, Path]:
        """Cells of the generator as the truth, and of one that was trained on its cells; not every method makes them."""
        return self.folder / f"{name}-truth-{seed}.h5ad", self.folder / f"{name}-refit-{seed}.h5ad"

    def refit_scores_file(self, name: str, seed: int) -> Path:
        """The judge's table of these."""
        return self.folder / f"{name}-refit-{seed}.csv"

    def scores_file(self, name: str, seed: int) -> Path:
        """The judge's table."""
        return self.folder / f"{name}-{seed}.csv"

    def runs(self) -> list[tuple[str, int, dict]]:
        """Method, seed and cost of every run that is done."""
        found = []
        for file in sorted(self.folder.glob("*.json")):
            method, _, seed = file.stem.rpartition("-")
            found.append((method, int(seed), json.loads(file.read_text())))
        return found
