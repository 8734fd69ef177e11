"""The paper's configuration."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict
from typing import Any, Self

from anndata import AnnData

from activa.seeds import check_seed, seeded
from activa.settings import PAPER

# supplement H; m, alpha_1, alpha_2 and the schedule as there
_TRAINING: dict[str, Any] = {
    "max_epochs": 610,
    "plan_kwargs": {
        "introspection": "hinge",
        "n_epochs_warmup": 10,
        "introspection_weight": 1.0,
        "classifier_weight": 1.0,
        "alpha_1": 1.0,
        "alpha_2": 0.5,
        "margin": 110.0,
        "synthetic_cells": "whole",
        "lr": 2e-4,
        "lr_schedule": "constant",
        "lr_fast_factor": 1.0,
        "lr_classifier": 1e-4,
        "n_epochs_kl_warmup": 0,
        "gradient_clip": None,
    },
}


class PaperMixin:
    """The ``paper`` constructor."""

    module: Any
    training_defaults_: dict[str, Any]

    @classmethod
    def paper(cls, adata: AnnData, *, seed: int | None = 0) -> Self:
        """The model as published (Heydari et al. 2022, supplement H).

        Encoder M - 1024 - 512 - 256 - 2 x 128 and generator 128 - 256 - 512 - 1024 - M, each hidden layer Linear, ReLU and
        BatchNorm, the generator's last one Linear and ReLU; squared error, N(0, I), and the ACTINN classifier
        M - 100 - 50 - 25 - types. :meth:`train` then takes the paper's settings where it is not given others: 10 epochs of
        warm-up and 600 of the game in its hinge form, m = 110, alpha_1 = 1, alpha_2 = 0.5, Adam with learning rate 2e-4,
        the classifier's 1e-4, which falls by 0.95 every 1,000 steps, and minibatches of 128 cells. :meth:`generate` keeps
        the cells that the classifier assigns to the type asked for. Nothing tells generator or prior the type.

        Where the released code departs from the paper this does not; the generator's adversarial gradient is not cut.

        Parameters
        ----------
        adata
            Cells registered by :meth:`setup_anndata`: non-negative values, the paper's are counts scaled to 20,000 a cell
            (:func:`activa.pp.scale_library`), without a logarithm.
        seed
            As of :class:`ACTIVA`.

        Returns
        -------
        An untrained model.

        Raises
        ------
        ValueError
            As :class:`ACTIVA`.

        Examples
        --------
        >>> activa.pp.scale_library(adata, 20_000)
        >>> ACTIVA.setup_anndata(adata, labels_key="cell_type")
        >>> model = ACTIVA.paper(adata)
        >>> model.train()
        """
        seed = check_seed(seed)
        model = cls(adata, seed=seed, **asdict(PAPER))  # type: ignore[call-arg]
        with seeded(seed):
            # ours starts from the genes' means
            model.module.generator.mean.reset_parameters()
        model.training_defaults_ = deepcopy(_TRAINING)
        return model
