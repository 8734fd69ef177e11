"""The paper's configuration."""

from __future__ import annotations

from typing import Any, Self

from anndata import AnnData

from activa.seeds import check_seed, seeded
from activa.train import PAPER_EPOCHS, PAPER_RECIPE


class PaperMixin:
    """The ``paper`` constructor."""

    module: Any
    training_defaults_: dict[str, Any]

    @classmethod
    def paper(cls, adata: AnnData, *, seed: int | None = 0) -> Self:
        """The model as published (Heydari et al. 2022, supplement H).

        The encoder is M - 1024 - 512 - 256 - 2 x 128 and the generator 128 - 256 - 512 - 1024 - M. Each hidden layer is
        Linear, ReLU and BatchNorm, and the generator's last layer Linear and ReLU. The loss is the squared error, the prior
        N(0, I), and the ACTINN classifier M - 100 - 50 - 25 - types. Nothing tells generator or prior the type;
        :meth:`generate` keeps the cells that the classifier assigns to it.

        :meth:`train` takes :data:`activa.train.PAPER_RECIPE` and 610 epochs unless it is given others: 10 epochs of warm-up
        and 600 of the hinge game with m = 110, alpha_1 = 1 and alpha_2 = 0.5. The released code departs from the paper, for
        example by cutting the generator's adversarial gradient; this model follows the paper. To train it without a game,
        let the warm-up last for all epochs: ``train(100, game=Hinge(n_epochs_warmup=100))``.

        Parameters
        ----------
        adata
            Cells registered by :meth:`setup_anndata`, with non-negative values. The paper's are counts scaled to 20,000 per
            cell (:func:`activa.pp.scale_library`), without a logarithm.
        seed
            Random seed of the initial weights. None draws a fresh seed.

        Returns
        -------
        An untrained model.

        Raises
        ------
        ValueError
            As for :class:`ACTIVA`.

        Examples
        --------
        >>> activa.pp.scale_library(adata, 20_000)  # doctest: +SKIP
        >>> ACTIVA.setup_anndata(adata, labels_key="cell_type")  # doctest: +SKIP
        >>> model = ACTIVA.paper(adata)  # doctest: +SKIP
        >>> model.train()  # doctest: +SKIP
        """
        seed = check_seed(seed)
        settings: dict[str, Any] = {
            "n_hidden": (1024, 512, 256),
            "n_latent": 128,
            "gene_likelihood": "mse",
            "generator": "deep",
            "prior": "standard",
            "label_input": "none",
            "norm": "batch",
            "dropout_rate": 0.0,
            "input_dropout_rate": 0.0,
        }
        model = cls(adata, seed=seed, **settings)  # type: ignore[call-arg]
        with seeded(seed):
            # the published model does not start from the genes' means
            model.module.generator.mean.reset_parameters()
        model.training_defaults_ = {"max_epochs": PAPER_EPOCHS, "recipe": PAPER_RECIPE.to_dict()}
        return model
