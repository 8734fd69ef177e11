"""Minified data: latents in the place of counts."""

from __future__ import annotations

from typing import Literal

from anndata import AnnData
from scvi.model.base import BaseMinifiedModeModelClass

from activa.arguments import check_choices
from activa.scvi_private import ADATA_MINIFY_TYPE

MinifiedData = Literal["latent_posterior_parameters", "latent_posterior_parameters_with_counts"]


class MinifiedMixin(BaseMinifiedModeModelClass):
    """The ``minify_adata`` method, and what a model without counts cannot do."""

    _LATENT_QZM_KEY = "activa_latent_qzm"
    _LATENT_QZV_KEY = "activa_latent_qzv"

    def minify_adata(
        self,
        minified_data_type: MinifiedData = "latent_posterior_parameters",
        use_latent_qzm_key: str = "X_latent_qzm",
        use_latent_qzv_key: str = "X_latent_qzv",
    ) -> None:
        """Give the model a copy of its data with latents in the place of counts.

        It is small to save and to share. Cells are generated as before; so are latents, normalized expression and what
        follows from them. What reads counts (:meth:`train`, :meth:`augment`, :meth:`predict` of the model's own cells,
        :meth:`get_elbo`) refuses. The AnnData that the model was made with is left as it is.

        Parameters
        ----------
        minified_data_type
            ``"latent_posterior_parameters"``: ``X`` and layers become empty, ``obs["observed_lib_size"]`` keeps each
            cell's total; ``"latent_posterior_parameters_with_counts"``: counts are kept, and latents not computed anew.
        use_latent_qzm_key, use_latent_qzv_key
            Where ``obsm`` has the latents' means and variances, ``(n_cells, n_latent)``.

        Raises
        ------
        KeyError
            If ``obsm`` has not got them.
        ValueError
            If the model was loaded without data, or its data are minified already.
        RuntimeError
            If the model has not been trained.

        Examples
        --------
        >>> mean, variance = model.get_latent_representation(return_dist=True)
        >>> adata.obsm["X_latent_qzm"], adata.obsm["X_latent_qzv"] = mean, variance
        >>> model.minify_adata()
        >>> model.save("model/", save_anndata=True)
        """
        check_choices(minified_data_type=(minified_data_type, MinifiedData))
        if self.adata is None:
            raise ValueError("The model was loaded without data: there is nothing to minify.")
        if self.minified_data_type is not None:
            raise ValueError(f"The model's data are minified already, as {self.minified_data_type!r}.")
        self._check_if_trained(warn=False)
        arguments = {"use_latent_qzm_key": use_latent_qzm_key, "use_latent_qzv_key": use_latent_qzv_key}
        for name, key in arguments.items():
            if key not in self.adata.obsm:
                raise KeyError(
                    f"{name}={key!r} is not in adata.obsm, which has {list(self.adata.obsm)}: put what "
                    "get_latent_representation(return_dist=True) gives there, the means and the variances."
                )
        super().minify_adata(minified_data_type, use_latent_qzm_key, use_latent_qzv_key)

    def _check_counts(self, method: str) -> None:
        """Raise a ValueError if the model's data have no counts."""
        if self.minified_data_type == ADATA_MINIFY_TYPE.LATENT_POSTERIOR:
            raise ValueError(
                f"{method} needs the cells' counts, and the model's data are minified: load the saved model with the "
                "full data, load(folder, adata=...)."
            )

    def _validate_anndata(self, adata: AnnData | None = None, copy_if_view: bool = True) -> AnnData:
        if adata is not None and self.minified_data_type is not None and self._LATENT_QZM_KEY not in adata.obsm:
            raise ValueError(
                "adata has counts, and the model's data are minified, so that it reads latents: load the saved model "
                "with these cells, load(folder, adata=...)."
            )
        return super()._validate_anndata(adata, copy_if_view)
