"""Wrong arguments: for every argument of every call, values out of range or of another type, and the error that is due."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from tests_helpers import make_counts

from activa.settings import Settings
from activa.train import Hinge, Recipe, Soft

Bad = tuple[Any, type[Exception]]
"""A value and the error that is due; a function makes the value."""
NAN, INF, HUGE = float("nan"), float("inf"), 10**18


class Wrong(NamedTuple):
    """One call with one wrong argument."""

    call: str
    argument: str
    value: Any
    error: type[Exception]
    others: dict[str, Any]
    """Right arguments that the call needs as well."""

    @property
    def name(self) -> str:
        """What the message must name."""
        inside = self.argument in ("plan_kwargs", "datasplitter_kwargs") and isinstance(self.value, dict)
        return next(iter(self.value)) if inside else self.argument

    def __str__(self) -> str:
        value = self.value.__name__ if callable(self.value) else repr(self.value)
        return f"{self.call}({self.argument}={' '.join(value.split())[:60]})"


def whole(least: int = 1, *, optional: bool = False, most: int | None = None) -> list[Bad]:
    """Wrong values of an integer."""
    bad: list[Bad] = [(v, TypeError) for v in ("3", 2.5, 2.0, np.float64(2), True, np.True_, [3], NAN, 1j)]
    bad += [(v, ValueError) for v in (least - 1, -7, np.int64(-7))]
    bad += [] if most is None else [(most + 1, ValueError)]
    return bad if optional else [*bad, (None, TypeError)]


def number(*out_of_range: float, optional: bool = False) -> list[Bad]:
    """Wrong values of a number."""
    bad: list[Bad] = [(v, TypeError) for v in ("0.5", True, [0.5], 1j)]
    bad += [(v, ValueError) for v in (NAN, INF, -INF, *out_of_range)]
    return bad if optional else [*bad, (None, TypeError)]


def choice(*, optional: bool = False) -> list[Bad]:
    """Wrong values of a choice among strings."""
    bad: list[Bad] = [(v, ValueError) for v in ("nope", "", 3, ["nb"], np.array(["nb", "nb"]), True)]
    return bad if optional else [*bad, (None, ValueError)]


def column(*, optional: bool = True) -> list[Bad]:
    """Wrong names of a column."""
    bad: list[Bad] = [("nope", KeyError), ("", KeyError), (3, TypeError), (["cell_type"], TypeError), (NAN, TypeError)]
    return bad if optional else [*bad, (None, TypeError)]


FLAG: list[Bad] = [("yes", TypeError), (1, TypeError), (None, TypeError), ([], TypeError), (NAN, TypeError)]
SEED: list[Bad] = whole(0, optional=True, most=2**32 - 1)
COLUMNS: list[Bad] = [
    ("sex", TypeError), (3, TypeError), ([3], TypeError), ([["sex"]], TypeError), ({"sex": 1}, TypeError), (pd.Index(["sex"]), TypeError), (("sex",), TypeError),
    (["nope"], KeyError), (["sex", "sex"], ValueError), (["holes"], ValueError), (["_scvi_batch"], ValueError),
]  # fmt: skip
FOLDER: list[Bad] = [
    (3, TypeError),
    (None, TypeError),
    ("no such folder/deeper", FileNotFoundError),
    (["a"], TypeError),
]


def other_cells() -> list[Bad]:
    """Wrong values of an AnnData."""
    return [("cells", TypeError), (3, TypeError), (np.ones((3, 3)), TypeError), (pd.DataFrame({"a": [1]}), TypeError)]


def view() -> ad.AnnData:
    return registrable()[:40]


def no_cells() -> ad.AnnData:
    return registrable()[:0].copy()


def no_genes() -> ad.AnnData:
    return registrable()[:, :0].copy()


def no_values() -> ad.AnnData:
    adata = registrable()
    del adata.X
    return adata


def other_genes() -> ad.AnnData:
    adata = registrable()
    adata.var_names = [f"other_{name}" for name in adata.var_names]
    return adata


def fewer_genes() -> ad.AnnData:
    return registrable()[:, :5].copy()


def fractions() -> ad.AnnData:
    adata = registrable()
    adata.X = adata.X * 0.5
    return adata


def words() -> ad.AnnData:
    adata = registrable()
    return ad.AnnData(adata.X.toarray().astype("U"), obs=adata.obs, var=adata.var)


def registrable() -> ad.AnnData:
    """Counts with every column that can be registered, and some that cannot."""
    adata = make_counts(60, 12)
    adata.X = csr_matrix(adata.X.toarray() + np.eye(1, 12, dtype=np.float32))  # no cell is empty
    adata.obs["holes"] = adata.obs["cell_type"].astype(object)
    adata.obs.loc[adata.obs_names[:2], "holes"] = np.nan
    adata.obs["zero"] = 0.0
    adata.obs["mixed"] = np.array(["B", 1] * 30, dtype=object)
    adata.obs["_scvi_batch"] = 0
    adata.layers["counts"] = adata.X.copy()
    return adata


SETUP: dict[str, list[Bad]] = {
    "adata": [*other_cells(), (None, TypeError), *((f, ValueError) for f in (view, no_cells, no_genes, no_values)), (words, TypeError)],
    "layer": [("nope", KeyError), ("", KeyError), (3, TypeError), (["counts"], TypeError), (NAN, TypeError)],
    "labels_key": [*column(), ("holes", ValueError), ("mixed", ValueError), ("_scvi_batch", ValueError)],
    "batch_key": [*column(), ("holes", ValueError), ("mixed", ValueError), ("_scvi_batch", ValueError)],
    "size_factor_key": [*column(), ("sex", ValueError), ("zero", ValueError), ("holes", ValueError)],
    "categorical_covariate_keys": [*COLUMNS, (["mixed"], ValueError)],
    "continuous_covariate_keys": [*COLUMNS, (["cell_type"], ValueError)],
    "unlabeled_category": [(3, ValueError), (NAN, ValueError), (["B"], TypeError)],
    "lables_key": [("cell_type", TypeError)],
}  # fmt: skip

SETTINGS: dict[str, list[Bad]] = {
    "n_hidden": [*(bad for bad in whole() if bad[0] != [3]), ((), ValueError), ((8, 0), ValueError), ((8, "8"), TypeError), ("128", TypeError)],
    "n_latent": whole(),
    "dropout_rate": number(-0.1, 1.0, 2),
    "gene_likelihood": [*choice(), ("zinb", ValueError)],
    "protein_likelihood": [*choice(optional=True), ("nb", ValueError)],
    "architecture": choice(),
}  # fmt: skip
"""Fields of Settings, which ACTIVA takes as arguments."""

MODEL: dict[str, list[Bad]] = SETTINGS | {
    "adata": [*other_cells(), (registrable, ValueError), (view, ValueError)],
    "registry": [("x", TypeError), (3, TypeError), ({}, ValueError), ({"a": 1}, ValueError)],
    "seed": SEED,
    "nope": [(1, TypeError)],
}

TRAIN: dict[str, list[Bad]] = {
    "max_epochs": whole(optional=True),
    "game": [("soft", TypeError), (0.3, TypeError), ({"soft": 0.3}, TypeError), (True, TypeError)],
    "accelerator": [("nope", ValueError), (3, ValueError), (["cpu"], ValueError), ("", ValueError)],
    "devices": [("nope", ValueError), (-5, ValueError), (0, ValueError), (1.5, ValueError), ([], ValueError), (["a"], ValueError)],
    "train_size": number(0, -0.1, 1.1, 2, optional=True),
    "validation_size": number(-0.1, 1.0, 2, optional=True),
    "shuffle_set_split": FLAG,
    "batch_size": whole(),
    "early_stopping": FLAG,
    "seed": SEED,
    "checkpoint_dir": [(3, TypeError), (["a"], TypeError), ("a file", NotADirectoryError)],
    "ckpt_path": [(3, TypeError), (["a"], TypeError), ("nope.ckpt", ValueError), ("", ValueError), (".", ValueError)],
    "datasplitter_kwargs": [("x", TypeError), (3, TypeError), ({"nope": 1}, TypeError), ([1], TypeError)],
    "plan_kwargs": [
        ("x", TypeError), (3, TypeError), ([1], TypeError), ({"nope": 1}, TypeError), ({"max_epochs": 3}, TypeError),
        ({"game": None}, TypeError),
    ],
    "datamodule": [("x", ValueError), (3, ValueError), ({}, ValueError)],
    "realism": choice(optional=True),
    "nope": [(1, TypeError)],
    "check_val_every_n_epoch": whole(optional=True),
}  # fmt: skip

PLAN: dict[str, list[Bad]] = {
    "lr": number(0, -1),
    "lr_schedule": choice(),
    "lr_classifier": number(0, -1),
    "n_epochs_kl_warmup": whole(0, optional=True),
    "n_steps_kl_warmup": whole(0, optional=True),
    "min_kl_weight": number(-1),
    "max_kl_weight": number(-1),
    "weight_decay": number(-1),
    "gradient_clip": number(0, -1, optional=True),
}
"""Fields of Recipe other than the game, which ``plan_kwargs`` takes."""

HINGE: dict[str, list[Bad]] = {
    "margin": number(optional=True),
    "alphas": [(1.0, TypeError), ("ab", TypeError), (None, TypeError), ((1.0,), ValueError), ((1.0, -1), ValueError), ((1.0, "a"), TypeError)],
    "per_cell": FLAG,
    "balance": choice(optional=True),
    "n_epochs_warmup": whole(0, optional=True),
}  # fmt: skip
SOFT: dict[str, list[Bad]] = {"weight": number(-1), "n_epochs_warmup": whole(0, optional=True)}

GENERATE: dict[str, list[Bad]] = {
    "n": [*whole(optional=True), (None, ValueError), (HUGE, ValueError)],
    "labels": [
        ("Mast", KeyError), (3, KeyError), (NAN, KeyError), ([], ValueError), ({}, ValueError), ({"T": -1}, ValueError),
        ({"T": 1.5}, TypeError), ({"T": True}, TypeError), ({"T": None}, TypeError), ({"T": HUGE}, ValueError),
        ({"Mast": 1}, KeyError), (["T", "Mast"], KeyError), (["T", None], KeyError), ([["T"]], KeyError),
        (object, TypeError), ({"T": 0}, ValueError), (pd.DataFrame({"one": [0]}, index=["T"]), ValueError),
        (pd.DataFrame({"one": [1.0]}, index=["T"]), TypeError), (pd.DataFrame({"one": [-1]}, index=["T"]), ValueError),
        (pd.DataFrame({"one": [3]}, index=["Mast"]), KeyError), (pd.DataFrame(index=["T"]), ValueError),
    ],
    "labels_key": [(3, TypeError), (["a"], TypeError), ("", ValueError), ("batch", ValueError), ("sex", ValueError), (NAN, TypeError)],
    "batch": [
        ("three", KeyError), (3, KeyError), (NAN, KeyError), ([], ValueError), (["one"], ValueError), ({"one": 3}, KeyError),
        ([["one"]] * 3, ValueError), (["one", "two", "three"], KeyError), (["one", "two", None], KeyError),
    ],
    "library_size": [
        (0, ValueError), (-1.0, ValueError), (NAN, ValueError), (INF, ValueError), ("big", ValueError), (True, ValueError),
        ([1.0, 2.0], ValueError), ([], ValueError), ([1.0, 2.0, NAN], ValueError), (1j, ValueError), (1e30, ValueError),
        ({"T": 3}, ValueError),
    ],
    "covariates": [
        ("big", TypeError), (3, TypeError), (["sex"], TypeError), ({"nope": 1}, KeyError), ({"sex": "x"}, KeyError),
        ({"sex": ["f"]}, ValueError), ({"age": "old"}, ValueError), ({"age": NAN}, ValueError), ({"age": [1.0]}, ValueError),
        ({"age": None}, ValueError), ({"sex": None}, KeyError), ({"sex": {"f": 1}}, KeyError),
    ],
    "z": [
        ("x", TypeError), (3.0, ValueError), (np.zeros((3, 1)), ValueError), (np.zeros((2, 3)), ValueError), ([], ValueError),
        (np.full((3, 3), NAN), ValueError), (np.full((3, 3), INF), ValueError), (np.zeros((3, 3), dtype=complex), TypeError),
        ([[1.0], [1.0, 2.0]], TypeError),
    ],
    "expected": FLAG,
    "min_confidence": number(-0.1, 1.0, 2, optional=True),
    "refuse": [("x", TypeError), (0.05, TypeError), (True, TypeError), ([], TypeError)],
    "batch_size": whole(),
    "seed": SEED,
}  # fmt: skip

PREDICT: dict[str, list[Bad]] = {
    "adata": [*other_cells(), *((f, ValueError) for f in (other_genes, fewer_genes, no_cells, no_values, fractions)), (words, TypeError)],
    "soft": FLAG,
    "indices": [
        ([], ValueError), ([10**6], ValueError), ([-61], ValueError), ("a", TypeError), (["a"], TypeError), ([0.5], TypeError),
        (3, TypeError), ([[0, 1]], ValueError), ([True, False], ValueError), ([None], TypeError),
    ],
    "batch_size": whole(),
    "dataloader": [([], ValueError), (3, TypeError), ([3], TypeError)],
}  # fmt: skip

SETS = [
    *other_cells(),
    *((f, ValueError) for f in (other_genes, fewer_genes, no_cells, fractions, no_values)),
    (words, TypeError),
]
EVALUATE: dict[str, list[Bad]] = {
    "real": [*SETS, (None, TypeError)],
    "synthetic": [*SETS, (None, TypeError)],
    "labels_key": [*column(), ("holes", ValueError)],
    "layer": [("nope", KeyError), ("", KeyError), (3, TypeError), (["counts"], TypeError)],
    "train": SETS,
    "model": [("x", TypeError), (3, TypeError), (True, TypeError), ([], TypeError), ({}, TypeError)],
    "metrics": [("nope", ValueError), (["nope"], ValueError), ([], ValueError), (3, TypeError), ([3], ValueError), ("copy_ratio", ValueError)],
    "normalized": [*FLAG, (True, ValueError)],
    "seed": [*SEED, (None, TypeError)],
}  # fmt: skip

EXPORT: dict[str, list[Bad]] = {
    "path": [*FOLDER, ("a folder", FileExistsError), ("a file", FileExistsError)],
    "overwrite": FLAG,
}
FROM_EXPORT: dict[str, list[Bad]] = {
    "path": [(3, TypeError), (None, TypeError), ("nope", FileNotFoundError), ("a folder", FileNotFoundError), ("a file", FileNotFoundError)],
    "accelerator": [("nope", ValueError), (3, ValueError), ("", ValueError)],
    "device": [("nope", ValueError), (-5, ValueError), (0, ValueError), (1.5, ValueError), ("0,1", ValueError)],
}  # fmt: skip
ZARR: dict[str, list[Bad]] = GENERATE | {
    "path": [*FOLDER, ("a folder", FileExistsError), ("a file", FileExistsError)],
    "labels_key": [*GENERATE["labels_key"], ("a/b", ValueError)],
    "overwrite": FLAG,
}

CALLS = {
    "setup_anndata": SETUP, "ACTIVA": MODEL, "train": TRAIN, "Hinge": HINGE, "Soft": SOFT, "generate": GENERATE | {"latents": FLAG},
    "generate_batches": GENERATE, "generate_zarr": ZARR, "augment": GENERATE, "predict": PREDICT, "evaluate": EVALUATE,
    "export": EXPORT, "from_export": FROM_EXPORT,
}  # fmt: skip
FIELDS = {Settings: SETTINGS, Recipe: PLAN | {"game": TRAIN["game"]}, Hinge: HINGE, Soft: SOFT}


def wrongs(call: str) -> Iterator[Wrong]:
    """All wrong arguments of a call."""
    for argument, values in CALLS[call].items():
        for value, error in values:
            yield Wrong(call, argument, value, error, _others(call, argument, value))
    if call == "train":
        for name, values in PLAN.items():
            for value, error in values:
                yield Wrong("train", "plan_kwargs", {name: value}, error, {"max_epochs": 1})


def _others(call: str, argument: str, value: Any) -> dict[str, Any]:
    if argument in ("device", "devices"):
        return {"accelerator": "cpu"}  # a GPU can be number 0
    if call == "setup_anndata":
        return {"labels_key": "cell_type"} if argument == "unlabeled_category" else {}
    if call == "train":
        return {} if argument == "max_epochs" else {"max_epochs": 1}
    if call.startswith("generate") or call == "augment":
        says_how_many = argument == "n" or (argument == "labels" and not (isinstance(value, str) or np.isscalar(value)))
        return {} if says_how_many else {"n": 3}
    return {}
