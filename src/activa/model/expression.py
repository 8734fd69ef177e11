"""Likelihood parameters, normalized expression, differential expression and correlations of encoded cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from functools import wraps
from inspect import signature
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from scvi.distributions import NegativeBinomial, Normal
from scvi.model.base import RNASeqMixin, VAEMixin
from torch import Tensor

from activa.arguments import check_choices, check_integers, check_numbers
from activa.checks import positions
from activa.model.registration import refuse_mudata
from activa.model.registry import modalities_of, registered_names
from activa.module import OutlierNegativeBinomial, StandardPrior
from activa.scvi_private import MODULE_KEYS

# further arguments of get_normalized_expression; the last four are those of importance weights
_OTHERS = {
    "batch_size", "silent", "data_loader_kwargs", "max_cells", "truncation", "n_mc_samples", "n_mc_samples_per_pass"
}  # fmt: skip


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
        data_loader_kwargs: dict[str, Any] | None = None,
    ) -> dict[str, np.ndarray]:
        r"""Parameters of the likelihood p(x | z, l, y, b), at latents drawn from the cells' encodings.

        Parameters
        ----------
        adata, indices, batch_size, dataloader
            Cells with the model's genes, and their positions; all of the model's own cells by default. Number of cells read
            at a time, or minibatches to read instead of ``adata``.
        data_loader_kwargs
            Further arguments of :class:`scvi.dataloaders.AnnDataLoader`, such as ``num_workers``.
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
        self._check_if_trained(warn=False)
        check_integers(n_samples=n_samples)
        if dataloader is None:
            adata = self._validate_anndata(adata)
            more = data_loader_kwargs or {}
            dataloader = self._make_data_loader(adata=adata, indices=indices, batch_size=batch_size, **more)
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
        n_samples: int = 1,
        n_samples_overall: int | None = None,
        weights: Literal["uniform", "importance"] | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
        **kwargs: Any,
    ) -> np.ndarray | pd.DataFrame:
        """Expression of the genes, decoded at latents drawn from the cells' encodings, as in scvi-tools.

        Under count likelihoods the expression of a cell sums to ``library_size`` (with a registered size factor, it is
        that of a cell with this size factor). Under ``"normal"`` and ``"mse"`` it is the mean of the values.

        Parameters
        ----------
        adata, indices, transform_batch, n_samples, n_samples_overall, return_mean, dataloader, **kwargs
            As in :meth:`scvi.model.base.RNASeqMixin.get_normalized_expression`.
        gene_list
            Genes, in the order of the columns; a KeyError names those that the model does not have.
        library_size
            Sum of the expression of a cell, a positive number; ``"latent"`` for its own total, which gives expected counts.
        weights
            How samples are drawn for ``n_samples_overall``: ``"uniform"``, or ``"importance"``, which needs the N(0, I)
            prior, the likelihood ``"nb"``, and no registered size factor (ValueError otherwise).
        return_numpy
            Whether to return an array, as for more than two dimensions and for a ``dataloader``, instead of a DataFrame.

        Returns
        -------
        ``(n_cells, n_genes)``; ``(n_samples, n_cells, n_genes)`` if samples are not averaged;
        ``(n_samples_overall, n_genes)`` for samples of all cells together, whose rows have no names.

        Examples
        --------
        >>> model.get_normalized_expression(library_size=1e4, transform_batch="donor 1")  # doctest: +SKIP
        """
        self._check_if_trained(warn=False)
        self._check_expression(library_size, weights, n_samples, n_samples_overall, kwargs)
        _check_batches(transform_batch)
        genes = pd.Index(registered_names(self.registry_))
        order = _positions_of(gene_list, genes)
        asked: dict[str, Any] = {"dataloader": dataloader, "weights": weights, "return_mean": return_mean} | kwargs
        asked |= {"n_samples": n_samples, "n_samples_overall": n_samples_overall, "library_size": library_size}
        # scvi-tools says that it cannot make a table of more dimensions
        asked["return_numpy"] = return_numpy if n_samples > 1 and not return_mean else True
        if dataloader is None:
            cells: Any = self._validate_anndata(adata)
            rows: Any = np.arange(cells.n_obs) if indices is None else positions(indices, cells.n_obs)
            adata, indices, names = cells, rows, cells.obs_names[rows]
            # scvi-tools picks genes in the order of the cells', and by the variables of all modalities
            if gene_list is not None and modalities_of(self.registry_) is None:
                chosen, order = np.unique(order, return_inverse=True)
                asked["gene_list"] = list(genes[chosen])
                genes = genes[chosen]
        x: Any = super().get_normalized_expression(adata, indices, transform_batch, **asked)
        x = x if gene_list is None else x[..., order]
        if return_numpy or x.ndim > 2 or dataloader is not None:
            return x
        return pd.DataFrame(x, index=names if n_samples_overall is None else None, columns=genes[order])

    def _check_expression(
        self, library_size: Any, weights: Any, n_samples: Any, n_samples_overall: Any, others: dict[str, Any]
    ) -> None:
        """Check the arguments of get_normalized_expression that scvi-tools takes without a look."""
        if unknown := sorted(set(others) - _OTHERS):
            raise TypeError(f"get_normalized_expression has no argument {unknown[0]!r}: choose from {sorted(_OTHERS)}.")
        check_integers(n_samples=n_samples)
        check_integers(n_samples_overall=n_samples_overall, optional=True)
        if n_samples_overall is not None and n_samples != 1:
            raise ValueError(
                f"n_samples_overall takes the place of n_samples, got n_samples={n_samples}: leave it out."
            )
        if not isinstance(library_size, str) or library_size != "latent":
            check_numbers(library_size=library_size, above=0)
        if weights is not None:
            check_choices(weights=(weights, Literal["uniform", "importance"]))
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

    @wraps(RNASeqMixin.posterior_predictive_sample)
    def posterior_predictive_sample(self, *args: Any, **kwargs: Any) -> Any:
        """As in scvi-tools, with the genes in the order of ``gene_list``, all of which must be the model's."""
        given = signature(super().posterior_predictive_sample).bind(*args, **kwargs).arguments
        given |= given.pop("data_loader_kwargs", {})
        self._check_if_trained(warn=False)
        _check_batches(given.get("transform_batch"))
        check_integers(n_samples=given.get("n_samples", 1))
        gene_list = given.pop("gene_list", None)
        order = _positions_of(gene_list, pd.Index(registered_names(self.registry_)))
        samples = super().posterior_predictive_sample(**given)
        return samples if gene_list is None else samples[:, order]

    @wraps(RNASeqMixin.differential_expression)
    def differential_expression(self, *args: Any, **kwargs: Any) -> pd.DataFrame:
        """Refuses groups without cells, and MuData: scvi-tools' table would name proteins as genes."""
        refuse_mudata(self, "differential_expression", "compare what get_normalized_expression returns")
        self._check_if_trained(warn=False)
        given = signature(super().differential_expression).bind(*args, **kwargs).arguments
        cells = self.adata if given.get("adata") is None else given["adata"]
        if isinstance(cells, AnnData):
            _check_groups(cells.obs, given)
        return super().differential_expression(*args, **kwargs)

    @wraps(RNASeqMixin.get_feature_correlation_matrix)
    def get_feature_correlation_matrix(self, *args: Any, **kwargs: Any) -> pd.DataFrame:
        """Refuses MuData, for the same reason."""
        refuse_mudata(self, "get_feature_correlation_matrix", "correlate generated cells")
        given = signature(super().get_feature_correlation_matrix).bind(*args, **kwargs).arguments
        _check_batches(given.get("transform_batch"))
        check_integers(n_samples=given.get("n_samples", 10))
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


def _positions_of(gene_list: Any, genes: pd.Index) -> np.ndarray:
    """Positions of genes among the model's, in the order of the list; all of them without one."""
    if gene_list is None:
        return np.arange(len(genes))
    if isinstance(gene_list, str) or not isinstance(gene_list, Iterable):
        raise TypeError(f"gene_list must be a list of genes, got {gene_list!r}.")
    wanted = list(gene_list)
    if not wanted:
        raise ValueError("gene_list=[] has no gene: name at least one, or leave it out.")
    if not genes.is_unique:
        raise ValueError("gene_list needs unique genes, and the model's have the same name more than once.")
    if unknown := [gene for gene in wanted if gene not in genes]:
        raise KeyError(f"gene_list: {unknown[:5]} are not among the model's {len(genes)} genes (get_var_names).")
    return genes.get_indexer(pd.Index(wanted))


def _check_batches(transform_batch: Any) -> None:
    """Check that there is a batch to transform to; scvi-tools checks its name."""
    if isinstance(transform_batch, Sized) and not len(transform_batch):
        raise ValueError("transform_batch=[] has no batch: name one, or leave it out.")


def _check_groups(obs: Any, given: dict[str, Any]) -> None:
    """Check that the groups that are compared are in ``groupby``, and that each has cells."""
    groupby, idx1 = given.get("groupby"), given.get("idx1")
    if groupby is None and idx1 is None:
        raise ValueError("groupby must name a column of obs, or idx1 the cells to compare; got None for both.")
    if groupby is None:
        return
    if groupby not in obs:
        raise KeyError(f"groupby={groupby!r} is not a column of obs, which has {list(obs.columns)}.")
    known = set(obs[groupby].dropna())
    for name in ("group1", "group2"):
        group = given.get(name)
        for one in group if isinstance(group, list | tuple | np.ndarray) else [group]:
            if one is not None and one not in known:
                raise ValueError(f"{name}: no cell is of {one!r} in {groupby!r}, which has {sorted(map(str, known))}.")
