"""Which generated cells are kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix

from activa.data import check_genes
from activa.metrics.privacy import TooClose
from activa.module import ACTIVAModule


class Filters:
    """What ``min_confidence`` and ``refuse`` of :meth:`~activa.ACTIVA.generate` keep.

    Raises
    ------
    TypeError, ValueError
        If they are none that the model can be given.
    """

    def __init__(
        self,
        module: ACTIVAModule,
        types: np.ndarray,
        genes: np.ndarray,
        min_confidence: float | None,
        refuse: TooClose | None,
    ):
        if refuse is not None:
            if not isinstance(refuse, TooClose):
                raise TypeError(f"refuse must be an activa.metrics.privacy.TooClose, got {type(refuse).__name__}.")
            if not module.is_count:
                raise ValueError(
                    f"refuse compares counts, which gene_likelihood={module.gene_likelihood!r} does not give: leave it out."
                )
            check_genes("the model", pd.Index(genes), "refuse", refuse.genes)
            self._order = pd.Index(genes).get_indexer(refuse.genes)
        self._module, self._types = module, types
        self._min_confidence, self._refuse = min_confidence, refuse

    @property
    def names(self) -> list[str]:
        """Those that there are."""
        names = [] if self._min_confidence is None else [f"min_confidence={self._min_confidence}"]
        return names if self._refuse is None else [*names, "refuse"]

    def __str__(self) -> str:
        return " and ".join(self.names)

    @property
    def advice(self) -> str:
        """What to do where too few cells pass."""
        advice = [] if self._min_confidence is None else ["lower min_confidence"]
        advice += [] if self._refuse is None else ["refuse by a smaller quantile"]
        return ", ".join(advice).capitalize()

    @torch.inference_mode()
    def passing(self, counts: csr_matrix, asked: np.ndarray) -> np.ndarray:
        """Which cells pass, boolean, ``(n_cells,)``.

        Parameters
        ----------
        counts
            Of the model's genes, in its order.
        asked
            Codes of the types asked for.
        """
        passed = np.ones(len(asked), dtype=bool)
        if self._min_confidence is not None:
            genes = torch.from_numpy(counts.toarray()).to(next(self._module.parameters()).device)
            probabilities = self._module.classify(genes).softmax(-1).cpu().numpy()
            passed &= probabilities[np.arange(len(asked)), asked] >= self._min_confidence
            passed &= probabilities.argmax(-1) == asked
        if self._refuse is not None:
            passed &= ~self._refuse.refuses_counts(counts[:, self._order], self._types[asked].astype(str))
        return passed
