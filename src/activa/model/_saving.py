"""Saving, which leaves the cells as they are."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from anndata import AnnData
from lightning.pytorch import LightningDataModule

from activa.io.atomic import atomic_files, atomic_folder, check_space

_MODEL = "model.pt"


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

        The folder is written beside and moved to its place when it is whole. In a folder that is there each file is
        replaced when the new one is whole, the model as the last. What is killed while it writes leaves a hidden folder
        (``.model.1a2b3c4d.part``), which the next that saves there removes.

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
        OSError
            If the disk is full, has no room for the cells, or cannot be written to.

        Examples
        --------
        >>> model.save("model/")
        """
        folder, last = Path(dir_path).absolute(), f"{prefix or ''}{_MODEL}"
        writing: AbstractContextManager[Path]
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            writing = atomic_folder(folder, overwrite=False, what="model", marks=())
        elif overwrite:
            writing = atomic_files(folder, what="model", last=last)
        else:
            raise ValueError(f"{dir_path!r} exists: give another dir_path, or overwrite=True to write into it.")
        if save_anndata and self.adata is not None and "compression" not in anndata_write_kwargs:
            disk = folder if folder.exists() else folder.parent
            check_space(disk, size_of(self.adata), argument="dir_path", what="a file of the cells")
        cells = self.adata if save_anndata and isinstance(self.adata, AnnData) else None
        tables: Any = None if cells is None else (cells.obs.copy(), cells.var.copy())
        try:
            with writing as part:
                super().save(  # type: ignore[misc]
                    str(part), prefix, True, save_anndata, save_kwargs, legacy_mudata_format, datamodule,
                    **anndata_write_kwargs,
                )  # fmt: skip
        finally:
            if cells is not None:
                cells.obs, cells.var = tables


def size_of(cells: Any) -> int:
    """Bytes of an AnnData or a MuData, about what they take in a file.

    To be compared with the room on a disk before HDF5 writes to it: where it cannot go on writing it crashes the process.
    """
    return sum(modality.__sizeof__() for modality in getattr(cells, "mod", {"": cells}).values())
