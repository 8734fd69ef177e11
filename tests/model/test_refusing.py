import numpy as np
import pytest
from tests_helpers import make_counts, make_model

from activa.metrics.privacy import TooClose

CELLS = make_counts(700)
TRAIN, HELD_OUT = CELLS[:240].copy(), CELLS[240:].copy()


@pytest.fixture(scope="module")
def model():
    return make_model(TRAIN, epochs=20, setup={"labels_key": "cell_type", "batch_key": "batch"})


@pytest.fixture(scope="module")
def refuse():
    return TooClose(TRAIN, HELD_OUT, quantile=0.2, labels_key="cell_type")


def test_no_cell_is_closer_than_the_limit_and_labels_are_met(model, refuse):
    asked = {"B": 150, "NK": 40, "T": 210}
    cells = model.generate(labels=asked, seed=0, refuse=refuse)
    assert cells.obs["cell_type"].value_counts().to_dict() == asked
    assert not refuse.refuses(cells).any()
    plain = model.generate(labels=asked, seed=0)
    refused = refuse.refuses(plain)
    assert 0.1 < refused.mean() < 0.9
    # what passes stays as it was
    assert (cells.X[~refused] != plain.X[~refused]).nnz == 0
    assert (cells.obs["batch"].to_numpy() == plain.obs["batch"].to_numpy()).all()
    assert all((cells.X[i] != plain.X[i]).nnz for i in np.flatnonzero(refused))


def test_a_seed_repeats_whatever_the_batch_size(model, refuse):
    first, again, other = (
        model.generate(300, seed=seed, refuse=refuse, batch_size=size) for seed, size in ((3, 4096), (3, 1), (4, 1))
    )
    assert (first.X != again.X).nnz == 0
    assert (first.X != other.X).nnz


def test_together_with_the_classifier(model, refuse):
    cells = model.generate(labels={"T": 50}, min_confidence=0.5, refuse=refuse, seed=0)
    assert not refuse.refuses(cells).any()
    assert set(model.predict(cells)) == {"T"}


def test_genes_in_another_order(model, refuse):
    shuffled = TooClose(TRAIN[:, ::-1], HELD_OUT[:, ::-1], quantile=0.2, labels_key="cell_type")
    first, second = (model.generate(60, seed=0, refuse=given) for given in (refuse, shuffled))
    assert (first.X != second.X).nnz == 0


def test_augment_and_chunks_take_it(model, refuse):
    more = model.augment(40, seed=0, refuse=refuse)
    assert not refuse.refuses(more[more.obs["origin"] == "synthetic"]).any()
    assert all(not refuse.refuses(chunk).any() for chunk in model.generate_batches(40, seed=0, refuse=refuse))


def test_nothing_that_passes_says_how_often(model):
    # held-out cells of quite another kind lie far from all training cells
    far = HELD_OUT.copy()
    far.X = far.X[:, ::-1].copy()
    with pytest.raises(RuntimeError, match=r"refuse: \d+ of \d+ .*smaller quantile"):
        model.generate(20, seed=0, refuse=TooClose(TRAIN, far, quantile=0.9))


def test_bad_arguments_say_what_is_wrong(model, refuse):
    with pytest.raises(TypeError, match="refuse must be an activa.metrics.privacy.TooClose, got float"):
        model.generate(3, refuse=0.1)
    with pytest.raises(ValueError, match="expected=True gives rates, which refuse cannot filter"):
        model.generate(3, refuse=refuse, expected=True)
    other = TooClose(*(make_counts(60, 20, seed=seed) for seed in (0, 1)))
    with pytest.raises(ValueError, match="refuse must have the model.s genes"):
        model.generate(3, refuse=other)
    values = make_model(make_counts(), epochs=1, gene_likelihood="normal")
    with pytest.raises(ValueError, match="refuse compares counts, which gene_likelihood='normal'"):
        values.generate(3, refuse=refuse)
