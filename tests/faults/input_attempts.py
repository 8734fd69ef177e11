"""A call with one wrong argument, and how it ends."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from faults.input_arguments import Wrong, registrable
from faults.input_outcomes import changes, outcome, snapshot
from tests_helpers import QUIET

from activa import ACTIVA
from activa.metrics import evaluate

SETUP = {
    "labels_key": "cell_type", "batch_key": "batch", "categorical_covariate_keys": ["sex"],
    "continuous_covariate_keys": ["age"],
}  # fmt: skip
SAYS_WHAT_TO_DO = (
    "must",
    "give",
    "choose",
    "leave",
    "register",
    "rename",
    "remove",
    "drop",
    "name",
    "use",
    "make",
    "which has",
    "has no",
    "had",
    "choices",
)


class Models(NamedTuple):
    """What is called, and must be left as it was."""

    untrained: ACTIVA
    trained: ACTIVA
    exported: Path


def make_models(folder: Path) -> Models:
    """A model before and one after training, and the export of the latter."""
    untrained, trained = _model(), _model()
    trained.train(max_epochs=1, **QUIET)
    trained.export(folder / "model")
    return Models(untrained, trained, folder / "model")


def _model() -> ACTIVA:
    adata = registrable()
    del adata.obs["_scvi_batch"]
    ACTIVA.setup_anndata(adata, **SETUP)
    return ACTIVA(adata, n_hidden=8, n_latent=3, n_prior_components=2)


def make_call(wrong: Wrong, folder: Path, models: Models) -> tuple[Callable[[], Any], list[Any]]:
    """The call, and the AnnData that it is about."""
    untrained, trained, exported = models
    value = wrong.value
    if callable(value) and value is not object:
        value = value()
    if wrong.argument in ("path", "checkpoint_dir", "ckpt_path") and isinstance(value, str) and value:
        value = folder / value
    arguments = {**wrong.others, wrong.argument: value}
    given = [v for v in arguments.values() if hasattr(v, "obs")]
    match wrong.call:
        case "setup_anndata":
            adata = arguments.pop("adata") if "adata" in arguments else registrable()
            return lambda: ACTIVA.setup_anndata(adata, **arguments), given or [adata]
        case "ACTIVA":
            if "registry" not in arguments:
                arguments = {"adata": untrained.adata, **arguments}
            return lambda: ACTIVA(**arguments), given or [untrained.adata]
        case "train":
            return lambda: untrained.train(**arguments, **QUIET), [untrained.adata]
        case "evaluate":
            if arguments.get("metrics") != "copy_ratio" and "train" not in arguments:
                arguments["train"] = registrable()
            arguments = {"real": registrable(), "synthetic": registrable(), **arguments}
            return lambda: evaluate(**arguments), [v for v in arguments.values() if hasattr(v, "obs")]
        case "from_export":
            arguments = {"path": exported, **arguments}
            return lambda: ACTIVA.from_export(**arguments), []
        case "export" | "generate_zarr" if "path" not in arguments:
            arguments["path"] = folder / "written"
    return lambda: getattr(trained, wrong.call)(**arguments), [*given, trained.adata]


def attempt(wrong: Wrong, folder: Path, models: Models) -> tuple[str, str]:
    """How a call with a wrong argument ends; lost if it changes anything."""
    (folder / "a file").write_text("text")
    (folder / "a folder").mkdir()
    (folder / "a folder" / "notes.txt").write_text("text")
    files = sorted(folder.rglob("*"))
    call, cells = make_call(wrong, folder, models)
    untrained, trained, _ = models
    before = [snapshot(adata) if hasattr(adata, "obs") else copy.deepcopy(adata) for adata in cells]
    weights = [value.clone() for value in untrained.module.state_dict().values()]
    history, was_trained = len(trained.history["elbo_train"]), untrained.is_trained
    kind, message = outcome(call)
    changed = [c for b, adata in zip(before, cells, strict=True) if hasattr(adata, "obs") for c in changes(b, adata)]
    if changed:
        return "lost", f"changes {changed}"
    if sorted(folder.rglob("*")) != files:
        return "lost", "leaves files"
    if untrained.is_trained != was_trained or history != len(trained.history["elbo_train"]):
        return "lost", "trains"
    if any((a != b).any() for a, b in zip(weights, untrained.module.state_dict().values(), strict=True)):
        return "lost", "changes the weights"
    if kind in ("works", "lost"):
        return "lost", message or "is not refused"
    if wrong.error.__name__ != kind:
        return "lost", f"{kind} where {wrong.error.__name__} is due: {message}"
    name = (
        next(iter(wrong.value)) if wrong.argument == "plan_kwargs" and isinstance(wrong.value, dict) else wrong.argument
    )
    if name not in message or not any(word in message.lower() for word in SAYS_WHAT_TO_DO):
        return "lost", f"does not name {name}, or not say what to do: {message}"
    if kind != "KeyError" and not _tells(message, wrong.value):
        return "lost", f"does not say what was found: {message}"
    return kind, message


def _tells(message: str, value) -> bool:
    """Whether a message tells of a value: it itself, its type or its shape."""
    if isinstance(value, dict) and value:
        return any(_tells(message, v) for v in (*value, *value.values()))
    if callable(value):
        return True  # cells: what was found in them is not said by the table
    if isinstance(value, list | tuple) and value and not isinstance(value, str):
        if any(_tells(message, v) for v in value):
            return True
    shape = getattr(value, "shape", None) or np.shape(value) if not isinstance(value, list) else (len(value),)
    found = (
        repr(value),
        str(value),
        type(value).__name__,
        str(shape),
        f"{len(value)} " if hasattr(value, "__len__") else "",
    )
    return any(text and text in message for text in found)
