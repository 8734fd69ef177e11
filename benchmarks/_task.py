"""What a generator is asked for, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Task:
    """Train on these cells; generate cells of these types."""

    train: ad.AnnData
    labels: np.ndarray
    """Types of the unseen cells, in their order."""
    labels_key: str
    seed: int
    max_epochs: int | None
    folder: Path
    """For what a long run goes on from."""
    refit: bool = True
    """Whether a generator that can be taken for the truth is trained again on its own cells, as :class:`Run` tells."""

    def labeled(self, counts: csr_matrix, labels: np.ndarray) -> ad.AnnData:
        """Counts of the training cells' genes as cells of these types."""
        obs = pd.DataFrame({self.labels_key: labels}, index=np.arange(len(labels)).astype(str))
        return ad.AnnData(counts.astype(np.float32), obs=obs, var=self.train.var.copy())


@dataclass(frozen=True)
class Run:
    """Cells by the generator's name: one training may give several generators."""

    cells: dict[str, ad.AnnData]
    seconds: dict[str, float]
    """Of ``train`` and of ``generate``."""
    refit: dict[str, tuple[ad.AnnData, ad.AnnData]] = field(default_factory=dict)
    """For generators that are taken for the truth: fresh cells of it, and cells of one that was trained on its cells."""
