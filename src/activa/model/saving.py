"""Saving a model completely or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from anndata import AnnData

from activa.assembly import size_of
from activa.io.atomic import atomic_files, atomic_folder, check_space

_MODEL = "model.pt"


@contextmanager
def model_folder(dir_path: str, prefix: str | None, *, overwrite: bool, cells: Any, check_size: bool) -> Iterator[Path]:
    """A folder to save a model in, which is moved to ``dir_path`` once it is complete, or file by file, the model last.

    anndata turns the columns of strings of ``cells``, which are saved too, into categories: they are restored. With
    ``check_size`` the size of the cells is compared with the free space, as uncompressed files need.
    """
    folder = Path(dir_path).absolute()
    writing: AbstractContextManager[Path]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        writing = atomic_folder(folder, overwrite=False, what="model", marks=())
    elif overwrite:
        writing = atomic_files(folder, what="model", last=f"{prefix or ''}{_MODEL}")
    else:
        raise ValueError(f"{dir_path!r} exists: give another dir_path, or overwrite=True to write into it.")
    if cells is not None and check_size:
        disk = folder if folder.exists() else folder.parent
        check_space(disk, size_of(cells), argument="dir_path", what="a file of the cells")
    tables: Any = (cells.obs.copy(), cells.var.copy()) if isinstance(cells, AnnData) else None
    try:
        with writing as part:
            yield part
    finally:
        if tables is not None:
            cells.obs, cells.var = tables
