"""Every argument that is out of range or of another type is refused, by name, before any work starts."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from faults.input_arguments import CALLS, FIELDS, registrable, wrongs
from faults.input_attempts import Models, attempt, make_models
from faults.input_outcomes import outcome
from tests_helpers import QUIET

from activa import ACTIVA
from activa.metrics import evaluate
from activa.train import Hinge, Soft


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Models:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("call", CALLS)
def test_the_table_has_every_argument(call):
    known: dict[str, Callable] = {"ACTIVA": ACTIVA, "evaluate": evaluate, "Hinge": Hinge, "Soft": Soft}
    parameters = inspect.signature(known.get(call) or getattr(ACTIVA, call)).parameters
    arguments = {name for name, p in parameters.items() if p.kind != p.VAR_KEYWORD} - {"self"}
    assert arguments <= set(CALLS[call])


@pytest.mark.parametrize("cls", FIELDS)
def test_the_table_has_every_field(cls):
    assert {field.name for field in fields(cls)} == set(FIELDS[cls])


@pytest.mark.parametrize("call", CALLS)
def test_wrong_arguments_are_refused(call, models, tmp_path):
    before, lost = models.state(), []
    for i, wrong in enumerate(wrongs(call)):
        folder = tmp_path / str(i)
        folder.mkdir()
        kind, message = attempt(wrong, folder, models)
        if kind == "lost":
            lost.append(f"{wrong}: {message}")
    assert not lost, "\n".join([f"{len(lost)} lost", *lost])
    assert models.state() == before


@pytest.mark.parametrize(
    "kwargs",
    [
        {"n": np.int64(3)},
        {"n": np.uint8(3), "seed": np.uint32(5), "batch_size": np.int16(256), "expected": np.True_},
        {"n": 3, "labels": "T", "seed": 2**32 - 1},
        {"n": 3, "library_size": np.float32(50), "batch": np.str_("one")},
        {"n": 3, "library_size": pd.Series([10, 20, 30]), "batch": ["one", "two", "one"]},
        {"n": 3, "covariates": {"age": np.int64(40), "sex": np.array(["f", "m", "f"])}},
        {"n": 3, "z": [[0, 0, 0]] * 3, "batch_size": 10**30},
        {"labels": {"T": np.int32(3), "B": 0}},
        {"labels": pd.Series({"T": 3}, name="count")},
        *({"labels": kind(["T", "B", "T"])} for kind in (tuple, np.array, pd.Series, pd.Index, pd.Categorical, iter)),
    ],
)
def test_right_arguments_of_any_kind_work(models, kwargs):
    kind, message = outcome(lambda: models.trained.augment(**kwargs) if "expected" not in kwargs else None)
    assert kind == "works", message
    if isinstance(kwargs.get("labels"), Iterator):
        kwargs = {"labels": iter(["T", "B", "T"])}
    kind, message = outcome(lambda: models.trained.generate(**kwargs))
    assert kind == "works", message


def test_numpys_numbers_make_and_train_and_export_a_model(tmp_path):
    adata = registrable()[:, :].copy()
    setup = {"categorical_covariate_keys": ["sex"], "labels_key": np.str_("cell_type")}
    ACTIVA.setup_anndata(adata, **setup)
    model = ACTIVA(
        adata, n_hidden=np.array([8, 4]), n_latent=np.int64(3), dropout_rate=np.float32(0.1), seed=np.int32(1)
    )
    model.train(
        max_epochs=np.int64(2), batch_size=np.int32(32), train_size=np.float32(0.8), seed=np.uint16(3),
        early_stopping=np.False_, plan_kwargs={"lr": np.float32(1e-3)},
        game=Hinge(margin=np.float32(10), per_cell=np.True_, n_epochs_warmup=np.int64(1)), **QUIET,
    )  # fmt: skip
    model.export(str(tmp_path / "model"))
    again = ACTIVA.from_export(tmp_path / "model").generate(4, seed=0)
    np.testing.assert_array_equal(again.X.toarray(), model.generate(4, seed=0).X.toarray())
    again.write_h5ad(tmp_path / "cells.h5ad")
