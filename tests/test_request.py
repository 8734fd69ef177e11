"""Requests: what is asked for is planned as asked, and what does not fit is refused."""

import numpy as np
import pandas as pd
import pytest

from activa.request import Request


def plan(model, **request):
    sampler = model.sampler
    return Request(seed=0, **request).plan(sampler.design, sampler.module)


def types_of(model, planned) -> dict:
    return pd.Series(model.types[planned.label]).value_counts().to_dict()


def test_n_is_filled_up_with_the_other_types_in_training_proportions(model):
    found = types_of(model, plan(model, n=100, labels={"B": 50}))
    sizes = dict(zip(model.types, model.design.type_sizes, strict=True))
    assert found["B"] == 50 and sum(found.values()) == 100
    assert abs(found["T"] - 50 * sizes["T"] / (sizes["T"] + sizes["NK"])) <= 0.5
    assert types_of(model, plan(model, n=5, labels={"T": 5})) == {"T": 5}


@pytest.mark.parametrize("labels", [{"B": 50}, {"B": 3, "NK": 3, "T": 3}])
def test_counts_that_do_not_fit_n_are_refused(model, labels):
    with pytest.raises(ValueError, match="leave n out"):
        plan(model, n=10, labels=labels)


def test_proportions_are_as_close_as_integers_come(model):
    planned = plan(model, n=97)
    share = np.bincount(planned.label, minlength=3) - 97 * model.design.type_sizes / model.design.type_sizes.sum()
    assert (np.abs(share) < 1).all() and len(planned) == 97


def test_batches_occur_as_they_do_within_the_type(model):
    table = model.design.table
    planned = plan(model, n=4000, labels="NK")
    rows = table[table["_activa_label"] == list(model.types).index("NK")].set_index("_activa_batch")["_activa_n"]
    found = np.bincount(planned.design[:, 0].astype(int), minlength=2) / 4000
    np.testing.assert_allclose(found, rows.reindex(range(2), fill_value=0) / rows.sum(), atol=0.04)


@pytest.mark.parametrize(
    "kwargs, error, match",
    [
        ({}, ValueError, "n must be the number"),
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"n": -3}, ValueError, "n must be at least 1"),
        ({"n": 2.5}, TypeError, "n must be"),
        ({"n": True}, TypeError, "n must be"),
        ({"n": 5, "labels": {"T": 6}}, ValueError, "leave n out"),
        ({"labels": {"T": 0}}, ValueError, "requests no cell"),
        ({"labels": {"T": -1}}, ValueError, r"labels\['T'\]"),
        ({"labels": {"T": 1.5}}, TypeError, r"labels\['T'\]"),
        ({"labels": {"Mast": 3}}, KeyError, "Mast"),
        ({"labels": "Mast", "n": 3}, KeyError, "Mast"),
        ({"labels": "T"}, ValueError, "n must be the number"),
        ({"labels": []}, ValueError, "at least one"),
        ({"labels": ["T"], "n": 3}, ValueError, "1 entries"),
        ({"n": 3, "batch": "three"}, KeyError, "three"),
        ({"n": 3, "batch": ["one"]}, ValueError, "batch"),
        ({"n": 3, "library_size": 0}, ValueError, "library_size"),
        ({"n": 3, "library_size": [1.0, 2.0]}, ValueError, "library_size"),
        ({"n": 3, "z": np.zeros((3, 2))}, ValueError, "z must"),
        ({"n": 3, "min_confidence": 1.0}, ValueError, "min_confidence"),
        ({"n": 3, "min_confidence": 0.5, "expected": True}, ValueError, "expected"),
        ({"n": 3, "batch_size": 0}, ValueError, "batch_size"),
        ({"n": 3, "seed": -1}, ValueError, "seed"),
        ({"n": 3, "seed": "a"}, TypeError, "seed"),
        ({"n": 3, "labels_key": 3}, TypeError, "labels_key"),
        ({"n": 3, "labels_key": "batch"}, ValueError, "labels_key='batch'"),
        ({"n": 3, "library_size": "big"}, ValueError, "library_size"),
        ({"n": 3, "covariates": "big"}, TypeError, "covariates"),
        ({"n": 3, "min_confidence": "big"}, TypeError, "min_confidence"),
    ],
)
def test_bad_arguments_say_what_is_wrong(model, kwargs, error, match):
    kwargs = dict(kwargs)
    for method in (model.generate, model.generate_batches, model.augment):
        with pytest.raises(error, match=match):
            method(**kwargs)


def test_an_argument_that_does_not_exist_is_named(model):
    for method in (model.generate, model.generate_batches, model.augment):
        with pytest.raises(TypeError, match="cells_of"):
            method(3, cells_of="T")
