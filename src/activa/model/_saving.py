"""Saving, which leaves the cells as they are."""

from __future__ import annotations

from typing import Any

from anndata import AnnData
from lightning.pytorch import LightningDataModule


class SavingMixin:
    """The ``save`` method."""

    adata: Any

    def save(
        self,
        dir_path: str,
        prefix: str | None = None,
        overwrite: bool = False,
        save_anndata: bool = False,
        save_kwargs: dict[str, Any] | None = None,
        legacy_mudata_format: bool = False,
        datamodule: LightningDataModule | None = None,
        **anndata_write_kwargs: Any,
    ) -> None:
        """Save the model, as :meth:`scvi.model.base.BaseModelClass.save` does.

        What is written is a pickle, which can run code where it is loaded: :meth:`load` only what comes from someone you
        trust. For a model that travels there is :meth:`export`.

        anndata turns columns of strings into categories where it writes them, in the object that it is given: they are put
        back.

        Parameters
        ----------
        dir_path, prefix, overwrite
            Folder, beginning of the files' names, and whether to write into a folder that is there.
        save_anndata
            Whether to save the cells too.
        save_kwargs, legacy_mudata_format, datamodule, **anndata_write_kwargs
            As in scvi-tools.

        Raises
        ------
        ValueError
            If the folder is there, and ``overwrite`` is not set.

        Examples
        --------
        >>> model.save("model/")
        """
        cells = self.adata if save_anndata and isinstance(self.adata, AnnData) else None
        tables: Any = None if cells is None else (cells.obs.copy(), cells.var.copy())
        try:
            super().save(  # type: ignore[misc]
                dir_path, prefix, overwrite, save_anndata, save_kwargs, legacy_mudata_format, datamodule,
                **anndata_write_kwargs,
            )  # fmt: skip
        finally:
            if cells is not None:
                cells.obs, cells.var = tables
