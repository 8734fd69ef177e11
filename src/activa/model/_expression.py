"""What scvi-tools' methods on expression make of this model's likelihoods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scvi.distributions import NegativeBinomial, Normal, Poisson, ZeroInflatedNegativeBinomial
from scvi.model.base import RNASeqMixin, VAEMixin
from torch import Tensor

from activa.model._registered import RegisteredMixin
from activa.module import CellDistribution, OutlierNegativeBinomial, StandardPrior
from activa.scvi_private import MODULE_KEYS


class ExpressionMixin(RegisteredMixin, RNASeqMixin, VAEMixin):
    """Likelihood parameters, normalized expression and correlations under every likelihood."""

    @torch.inference_mode()
    def get_likelihood_parameters(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        n_samples: int = 1,
        give_mean: bool = False,
        batch_size: int | None = None,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
    ) -> dict[str, np.ndarray]:
        r"""Parameters of the likelihood p(x | z, l, y, b) of cells, at latents drawn from their encodings.

        Parameters
        ----------
        adata
            Cells with the model's genes; those that the model was made with by default.
        indices
            Positions of the cells; all by default.
        n_samples
            Latents drawn for each cell.
        give_mean
            Whether to average over them.
        batch_size
            Cells read at a time.
        dataloader
            Minibatches to read instead of ``adata``.

        Returns
        -------
        Arrays of float32, ``(n_cells, n_genes)``, or with more than one sample, not averaged,
        ``(n_samples, n_cells, n_genes)``: ``"mean"``, and by likelihood

        - ``"nb"``: ``"dispersions"``, the inverse dispersion :math:`\theta`; the variance is
          :math:`\mu + \mu^2 / \theta`;
        - ``"zinb"``: as ``"nb"``, before the zero inflation, and ``"dropout"``, its probability;
        - ``"nb-outlier"``: as ``"nb"``, of the counts that are no outliers, and ``"outlier_share"``,
          ``"outlier_factor"`` and ``"outlier_dispersions"`` (:class:`~activa.module.OutlierNegativeBinomial`);
        - ``"poisson"``: nothing more;
        - ``"normal"``, ``"mse"``: ``"scale"``, the standard deviation.

        Raises
        ------
        ValueError
            If the cells have other genes, or the model has no data.

        Examples
        --------
        >>> model.get_likelihood_parameters(n_samples=10, give_mean=True)["dispersions"]
        """
        if dataloader is None:
            adata = self._validate_anndata(adata)
            dataloader = self._make_data_loader(adata=adata, indices=indices, batch_size=batch_size)
        found: dict[str, list[np.ndarray]] = {}
        for tensors in dataloader:
            _, generative = self.module.forward(tensors, inference_kwargs={"n_samples": n_samples}, compute_loss=False)
            for name, value in _parameters(generative[MODULE_KEYS.PX_KEY]).items():
                found.setdefault(name, []).append(value.cpu().numpy())
        joined = {name: np.concatenate(parts, axis=-2) for name, parts in found.items()}
        return {name: a.mean(axis=0) for name, a in joined.items()} if give_mean and n_samples > 1 else joined

    def get_normalized_expression(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        transform_batch: Sequence[Any] | Any = None,
        gene_list: Sequence[str] | None = None,
        library_size: float | Literal["latent"] = 1,
        n_samples: int = 1,
        n_samples_overall: int | None = None,
        weights: Literal["uniform", "importance"] | None = None,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
        silent: bool = True,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
        data_loader_kwargs: dict[str, Any] | None = None,
        **importance_weighting_kwargs: Any,
    ) -> np.ndarray | pd.DataFrame:
        """Expression decoded at latents drawn from the cells' encodings, as in scvi-tools.

        Under likelihoods of counts a cell's expression sums to ``library_size`` (where a size factor was registered, it
        is what a cell of that size factor has). Under ``"normal"`` and ``"mse"`` it is the mean of the values, which have
        no library size.

        Parameters
        ----------
        adata, indices, gene_list
            Cells, positions and genes; all by default.
        transform_batch
            Batch, or batches to average over, that the cells are taken to be of; their own by default.
        library_size
            What expression sums to; ``"latent"`` for each cell's own total, which gives expected counts.
        n_samples, return_mean
            Latents drawn for each cell, and whether to average over them.
        n_samples_overall
            Samples to draw from all cells together, in the place of ``n_samples`` for each.
        weights
            How those are drawn: ``"uniform"``, or ``"importance"``, which is computed for the prior N(0, I), the
            likelihoods ``"nb"`` and ``"zinb"``, and no registered size factor.
        batch_size, dataloader, data_loader_kwargs
            How cells are read.
        return_numpy
            Whether to give an array instead of a DataFrame.
        silent
            Whether to show no progress bar.
        **importance_weighting_kwargs
            Arguments of :meth:`get_importance_weights`.

        Returns
        -------
        ``(n_cells, n_genes)``; if samples are not averaged ``(n_samples, n_cells, n_genes)``; of all cells together
        ``(n_samples_overall, n_genes)``.

        Raises
        ------
        ValueError
            For arguments that the model's likelihood or prior does not allow.

        Examples
        --------
        >>> model.get_normalized_expression(library_size=1e4, transform_batch="donor 1")
        """
        likelihood = self.module.gene_likelihood
        if not self.module.is_count and library_size not in (1, "latent"):
            raise ValueError(
                f"get_normalized_expression: library_size={library_size!r} has no part in gene_likelihood={likelihood!r}, "
                "whose values are not counts: leave it out."
            )
        standard = isinstance(self.module.prior, StandardPrior)
        if weights == "importance" and not (
            standard and likelihood in ("nb", "zinb") and not self.module.use_size_factor_key
        ):
            raise ValueError(
                "get_normalized_expression and differential_expression: weights='importance' is computed for prior="
                "'standard', gene_likelihood='nb' or 'zinb' and no size_factor_key; this model has prior="
                f"{'standard' if standard else 'labeled'!r} and gene_likelihood={likelihood!r}: use weights='uniform'."
            )
        return super().get_normalized_expression(
            adata,
            indices=indices,
            transform_batch=transform_batch,
            gene_list=gene_list,
            library_size=library_size,
            n_samples=n_samples,
            n_samples_overall=n_samples_overall,
            weights=weights,
            batch_size=batch_size,
            return_mean=return_mean,
            return_numpy=return_numpy,
            silent=silent,
            dataloader=dataloader,
            data_loader_kwargs=data_loader_kwargs,
            **importance_weighting_kwargs,
        )

    @torch.inference_mode()
    def _get_denoised_samples(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        n_samples: int = 25,
        batch_size: int = 64,
        rna_size_factor: int = 1000,
        transform_batch: int | None = None,
    ) -> np.ndarray:
        """Expression without technical noise, ``(n_cells, n_genes)`` or ``(n_cells, n_genes, n_samples)``.

        Of a negative binomial, the Poisson rate; of other likelihoods, which have noise of one kind only, the mean.
        """
        if self.module.gene_likelihood in ("nb", "zinb", "nb-outlier"):
            return super()._get_denoised_samples(
                adata, indices, n_samples, batch_size, rna_size_factor, transform_batch=transform_batch
            )
        samples = []
        for tensors in self._make_data_loader(adata=adata, indices=indices, batch_size=batch_size):
            _, generative = self.module.forward(
                tensors,
                inference_kwargs={"n_samples": n_samples},
                generative_kwargs={"transform_batch": transform_batch},
                compute_loss=False,
            )
            samples.append(rna_size_factor * generative[MODULE_KEYS.PX_KEY].get_normalized("scale").cpu().numpy())
        joined = np.concatenate(samples, axis=-2)
        return joined if n_samples == 1 else np.moveaxis(joined, 0, -1)


def _parameters(px: CellDistribution) -> dict[str, Tensor]:
    """Parameters of a likelihood, each of the shape of its mean."""
    if isinstance(px, Normal):
        return {"mean": px.loc, "scale": px.scale.expand_as(px.loc)}
    if isinstance(px, Poisson):
        return {"mean": px.rate}
    assert isinstance(px, NegativeBinomial)
    found = {"mean": px.mu, "dispersions": px.theta}
    if isinstance(px, ZeroInflatedNegativeBinomial):
        found["dropout"] = px.zi_probs
    if isinstance(px, OutlierNegativeBinomial):
        found["outlier_share"] = px.outlier_share.expand_as(px.mu)
        found["outlier_factor"] = px.outlier_factor
        found["outlier_dispersions"] = px.outlier_theta.expand_as(px.mu)
    return found
