"""Likelihood parameters, normalized expression, differential expression and correlations of encoded cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import wraps
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from scvi.distributions import NegativeBinomial, Normal
from scvi.model.base import RNASeqMixin, VAEMixin
from torch import Tensor

from activa.model.registration import modalities_of, refuse_mudata, registered_names
from activa.module import OutlierNegativeBinomial, StandardPrior
from activa.scvi_private import MODULE_KEYS


class Expression(RNASeqMixin, VAEMixin):
    """scvi-tools' methods on expression and latents, for this model's likelihoods and for MuData."""

    module: Any
    adata: Any
    registry_: dict[str, Any]

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
        r"""Parameters of the likelihood p(x | z, l, y, b), at latents drawn from the cells' encodings.

        Parameters
        ----------
        adata, indices, batch_size, dataloader
            Cells with the model's genes, and their positions; all of the model's own cells by default. Number of cells read
            at a time, or minibatches to read instead of ``adata``.
        n_samples, give_mean
            Number of latents drawn per cell, and whether to average over them.

        Returns
        -------
        Arrays of float32, ``(n_cells, n_genes)``, or ``(n_samples, n_cells, n_genes)`` without averaging: ``"mean"``, and

        - ``"nb"``: ``"dispersions"``, the inverse dispersion :math:`\theta` of the variance :math:`\mu + \mu^2 / \theta`;
        - ``"nb-outlier"``: ``"dispersions"`` of the counts that are not outliers, and ``"outlier_share"``,
          ``"outlier_mean"`` and ``"outlier_dispersions"`` (:class:`~activa.module.OutlierNegativeBinomial`);
        - ``"normal"``, ``"mse"``: ``"scale"``, the standard deviation.

        Examples
        --------
        >>> model.get_likelihood_parameters(n_samples=10, give_mean=True)["dispersions"]  # doctest: +SKIP
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
        adata: AnnData | MuData | None = None,
        indices: Sequence[int] | None = None,
        transform_batch: Sequence[Any] | Any = None,
        gene_list: Sequence[str] | None = None,
        library_size: float | Literal["latent"] = 1,
        *,
        weights: Literal["uniform", "importance"] | None = None,
        return_numpy: bool | None = None,
        **kwargs: Any,
    ) -> np.ndarray | pd.DataFrame:
        """Expression of the genes, decoded at latents drawn from the cells' encodings, as in scvi-tools.

        Under count likelihoods the expression of a cell sums to ``library_size`` (with a registered size factor, it is
        that of a cell with this size factor). Under ``"normal"`` and ``"mse"`` it is the mean of the values.

        Parameters
        ----------
        adata, indices, gene_list, transform_batch, return_numpy, **kwargs
            As in :meth:`scvi.model.base.RNASeqMixin.get_normalized_expression`.
        library_size
            Sum of the expression of a cell; ``"latent"`` for its own total, which gives expected counts.
        weights
            How samples are drawn for ``n_samples_overall``: ``"uniform"``, or ``"importance"``, which needs the N(0, I)
            prior, the likelihood ``"nb"``, and no registered size factor (ValueError otherwise).

        Returns
        -------
        ``(n_cells, n_genes)``; ``(n_samples, n_cells, n_genes)`` if samples are not averaged;
        ``(n_samples_overall, n_genes)`` for samples of all cells together.

        Examples
        --------
        >>> model.get_normalized_expression(library_size=1e4, transform_batch="donor 1")  # doctest: +SKIP
        """
        likelihood = self.module.gene_likelihood
        if not self.module.is_count and library_size not in (1, "latent"):
            given = f"library_size={library_size!r}"
            raise ValueError(f"{given} does not apply to values, got gene_likelihood={likelihood!r}: leave it out.")
        is_standard = isinstance(self.module.prior, StandardPrior)
        if weights == "importance" and (not is_standard or likelihood != "nb" or self.module.use_size_factor_key):
            raise ValueError(
                "weights='importance' needs architecture='deep', gene_likelihood='nb' and no size_factor_key, got "
                f"gene_likelihood={likelihood!r} and {'an N(0, I)' if is_standard else 'a labeled'} prior: use 'uniform'."
            )
        asked = {"library_size": library_size, "weights": weights, **kwargs}
        if modalities_of(self.registry_) is None:
            asked |= {"gene_list": gene_list, "return_numpy": return_numpy}
            return super().get_normalized_expression(adata, indices, transform_batch, **asked)
        # scvi-tools' table would be named after the variables of all modalities
        x: Any = super().get_normalized_expression(adata, indices, transform_batch, return_numpy=True, **asked)
        genes = registered_names(self.registry_)
        chosen = np.ones(len(genes), bool) if gene_list is None else np.isin(genes, gene_list)
        x = x[..., chosen]
        of_cells = kwargs.get("n_samples_overall") is None and kwargs.get("dataloader") is None
        if return_numpy or x.ndim > 2 or not of_cells:
            return x
        names = (self.adata if adata is None else adata).obs_names
        names = names if indices is None else names[np.asarray(indices)]
        return pd.DataFrame(x, index=names, columns=genes[chosen])

    @wraps(RNASeqMixin.differential_expression)
    def differential_expression(self, *args: Any, **kwargs: Any) -> pd.DataFrame:
        """Refuses MuData: scvi-tools' table would name proteins as genes."""
        refuse_mudata(self, "differential_expression", "compare what get_normalized_expression returns")
        return super().differential_expression(*args, **kwargs)

    @wraps(RNASeqMixin.get_feature_correlation_matrix)
    def get_feature_correlation_matrix(self, *args: Any, **kwargs: Any) -> pd.DataFrame:
        """Refuses MuData, for the same reason."""
        refuse_mudata(self, "get_feature_correlation_matrix", "correlate generated cells")
        return super().get_feature_correlation_matrix(*args, **kwargs)

    @torch.inference_mode()
    def _get_denoised_samples(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        n_samples: int = 25,
        batch_size: int = 64,
        rna_size_factor: int = 1000,
        **kwargs: Any,
    ) -> np.ndarray:
        """Poisson rates of a negative binomial by scvi-tools; means of a Gaussian, whose noise has no such part."""
        if self.module.is_count:
            return super()._get_denoised_samples(adata, indices, n_samples, batch_size, rna_size_factor, **kwargs)
        samples = []
        for tensors in self._make_data_loader(adata=adata, indices=indices, batch_size=batch_size):
            _, generative = self.module.forward(
                tensors,
                inference_kwargs={"n_samples": n_samples},
                generative_kwargs={"transform_batch": kwargs.get("transform_batch")},
                compute_loss=False,
            )
            samples.append(rna_size_factor * generative[MODULE_KEYS.PX_KEY].mean.cpu().numpy())
        joined = np.concatenate(samples, axis=-2)
        return joined if n_samples == 1 else np.moveaxis(joined, 0, -1)


def _parameters(px: Any) -> dict[str, Tensor]:
    """Parameters of a likelihood, each with the shape of its mean."""
    if isinstance(px, Normal):
        return {"mean": px.loc, "scale": px.scale.expand_as(px.loc)}
    assert isinstance(px, NegativeBinomial)
    found = {"mean": px.mu, "dispersions": px.theta.expand_as(px.mu)}
    if isinstance(px, OutlierNegativeBinomial):
        found["outlier_share"] = px.outlier_share
        found["outlier_mean"] = px.outlier_mean
        found["outlier_dispersions"] = px.outlier_theta
    return found
