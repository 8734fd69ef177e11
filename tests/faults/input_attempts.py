"""Calls with one wrong argument, and how each ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from faults.input_arguments import Wrong, registrable
from faults.input_outcomes import changes, outcome, snapshot
from tests_helpers import QUIET

from activa import ACTIVA
from activa.metrics import evaluate
from activa.train import Hinge, Soft

SETUP = {
    "labels_key": "cell_type",
    "batch_key": "batch",
    "categorical_covariate_keys": ["sex"],
    "continuous_covariate_keys": ["age"],
}


class Models(NamedTuple):
    """The objects that are called, which no refused call may change."""

    untrained: ACTIVA
    trained: ACTIVA
    exported: Path

    def state(self) -> tuple[Any, ...]:
        """Everything that a refused call must leave: weights, histories and cells."""
        weights = [m.module.state_dict()[k].tolist() for m in self[:2] for k in sorted(m.module.state_dict())]
        history = self.untrained.is_trained, len(self.trained.history["elbo_train"])
        return weights, history, [snapshot(m.adata) for m in self[:2]]


def make_models(folder: Path) -> Models:
    """A model before training and one after it, and the latter's export."""
    untrained, trained = _model(), _model()
    trained.train(max_epochs=1, **QUIET)
    trained.export(folder / "model")
    return Models(untrained, trained, folder / "model")


def _model() -> ACTIVA:
    adata = registrable()
    del adata.obs["_scvi_batch"]
    ACTIVA.setup_anndata(adata, **SETUP)
    return ACTIVA(adata, n_hidden=8, n_latent=3)


def make_call(wrong: Wrong, folder: Path, models: Models) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function and its arguments, one of which is wrong."""
    untrained, trained, exported = models
    value = wrong.value() if callable(wrong.value) and wrong.value is not object else wrong.value
    if wrong.argument in ("path", "checkpoint_dir", "ckpt_path") and isinstance(value, str) and value:
        value = folder / value
    given = {**wrong.others, wrong.argument: value}
    match wrong.call:
        case "setup_anndata":
            return ACTIVA.setup_anndata, {"adata": registrable()} | given
        case "ACTIVA":
            return ACTIVA, ({} if "registry" in given else {"adata": untrained.adata}) | given
        case "train":
            return untrained.train, given | QUIET
        case "Hinge" | "Soft":
            return {"Hinge": Hinge, "Soft": Soft}[wrong.call], given
        case "evaluate":
            train = {} if given.get("metrics") == "copy_ratio" else {"train": registrable()}
            return evaluate, {"real": registrable(), "synthetic": registrable()} | train | given
        case "from_export":
            return ACTIVA.from_export, {"path": exported} | given
        case "export" | "generate_zarr":
            given = {"path": folder / "written"} | given
    return getattr(trained, wrong.call), given


def attempt(wrong: Wrong, folder: Path, models: Models) -> tuple[str, str]:
    """The type of the error that a wrong argument ends in and its message; ``"lost"`` if it is not refused as it must be."""
    (folder / "a file").write_text("text")
    (folder / "a folder").mkdir()
    (folder / "a folder" / "notes.txt").write_text("text")
    files = sorted(folder.rglob("*"))
    call, arguments = make_call(wrong, folder, models)
    before = {name: snapshot(value) for name, value in arguments.items() if hasattr(value, "obs")}
    kind, message = outcome(lambda: call(**arguments))
    if changed := [name for name, was in before.items() if changes(was, arguments[name])]:
        return "lost", f"changes {changed}"
    if sorted(folder.rglob("*")) != files:
        return "lost", "leaves files"
    if kind != wrong.error.__name__:
        return "lost", f"{kind} where {wrong.error.__name__} is due: {message}"
    return (kind, message) if wrong.name in message else ("lost", f"does not name {wrong.name}: {message}")
