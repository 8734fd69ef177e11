"""Everything that is written, by a model of its own, where there is room and where there is none."""

from __future__ import annotations

import hashlib
import json
import resource
from collections.abc import Callable
from pathlib import Path

from tests_helpers import QUIET, make_counts

from activa import ACTIVA

LIMIT = 30_000  # bytes of a file, less than any of those that are written have


def untrained() -> ACTIVA:
    adata = make_counts(600, 200)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    return ACTIVA(adata, n_hidden=(64,), n_latent=5)


WRITING: dict[str, Callable[[ACTIVA, Path], None]] = {
    "save": lambda model, folder: model.save(str(folder / "save"), overwrite=True),
    "export": lambda model, folder: model.export(folder / "export", overwrite=True),
    "generate_zarr": lambda model, folder: model.generate_zarr(folder / "generate_zarr", 5_000, seed=0, overwrite=True),
    "train": lambda model, folder: model.train(max_epochs=3, checkpoint_dir=folder / "train", **QUIET),
}


def digest(folder: Path) -> dict[str, str]:
    """Every file with what is in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def try_all(model: ACTIVA, folder: Path) -> dict[str, tuple[str, int, str]]:
    """The error that each ends with; the model is used after each."""
    expected, errors = model.generate(20, seed=0).X, {}
    for kind, write in WRITING.items():
        try:
            write(model, folder)
        except OSError as error:
            errors[kind] = (type(error).__name__, error.errno, str(error))
        if kind != "train":
            assert (model.generate(20, seed=0).X != expected).nnz == 0
    assert model.generate(20, seed=0).n_obs == 20
    return errors


def starve(folder: Path, report: Path) -> None:
    """Write everything once, and once more where no file may be large."""
    model = untrained()
    for write in reversed(WRITING.values()):  # training comes last above, and first here
        write(model, folder)
    before = digest(folder)
    model.generate(5)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
    errors = try_all(model, folder)
    report.write_text(json.dumps({"errors": errors, "kept": digest(folder) == before}))
