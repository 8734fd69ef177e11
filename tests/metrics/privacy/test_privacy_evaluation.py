import anndata as ad
import numpy as np
import pandas as pd
import pytest

from activa.metrics.privacy import evaluate, exact_copies, membership_auc

DISTANCE = ["membership_auc", "membership_tpr", "dcr_share", "copy_ratio", "close_share", "nndr", "exact_copies"]


@pytest.fixture
def sets(make):
    return make(150, seed=1), make(260, seed=2), make(150, seed=3)


def test_copies_are_caught_and_fresh_cells_stand_at_the_floor(sets, memorize):
    train, held_out, fresh = sets
    table = evaluate(train, held_out, memorize(train, 0), labels_key="cell_type")
    assert list(table.index) == DISTANCE
    assert list(table.columns) == ["value", "floor", "best", "description"]
    assert (table.value[["membership_auc", "membership_tpr", "dcr_share", "close_share", "exact_copies"]] > 0.99).all()
    assert (table.value[["copy_ratio", "nndr"]] < 1e-3).all()
    table = evaluate(train, held_out, fresh, labels_key="cell_type")
    # four standard errors, of 130 to 150 cells on a side
    tolerance = pd.Series([0.14, 0.05, 0.18, 0.05, 0.09, 0.03, 0.01], index=DISTANCE)
    for column in ("floor", "best"):
        assert ((table.value - table[column]).abs() < tolerance).all(), table


def test_the_figures_are_those_of_the_functions(sets):
    train, held_out, fresh = sets
    floor = held_out[130:]
    table = evaluate(train, held_out[:130], fresh, floor=floor)
    assert table.value["exact_copies"] == exact_copies(train.X, fresh.X)
    # all principal components of 280 cells of 116 genes that vary: distances of the log-normalized values themselves
    logs = []
    for adata in (train, held_out[:130], fresh):
        counts = adata.X.toarray()
        logs.append(np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4))
    mean = np.vstack(logs[:2]).mean(axis=0)
    axes = np.linalg.svd(np.vstack(logs[:2]) - mean, full_matrices=False)[2][:50]
    expected = membership_auc(*((x - mean) @ axes.T for x in logs))
    assert table.value["membership_auc"] == pytest.approx(expected, abs=0.005)


def test_order_and_genes_in_another_order_change_nothing(sets):
    train, held_out, fresh = sets
    floor = held_out[130:]
    expected = evaluate(train, held_out[:130], fresh, floor=floor)
    reversed_genes = fresh[:, ::-1].copy()
    shuffled = reversed_genes[np.random.default_rng(0).permutation(fresh.n_obs)].copy()
    found = evaluate(train, held_out[:130, ::-1], shuffled, floor=floor)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-3)


def test_inputs_and_the_global_random_state_are_left_alone(sets):
    before = [adata.copy() for adata in sets]
    np.random.seed(3)
    state = np.random.get_state()[1].copy()
    first, again = (evaluate(*sets, labels_key="cell_type", seed=4) for _ in range(2))
    assert (np.random.get_state()[1] == state).all()
    pd.testing.assert_frame_equal(first, again)
    for adata, copy in zip(sets, before, strict=True):
        assert (adata.X != copy.X).nnz == 0
        pd.testing.assert_frame_equal(adata.obs, copy.obs)


def test_donors_are_given_away_by_cells_that_are_no_copies(make_donors):
    train = make_donors(range(8), 30, seed=0)
    held_out = make_donors(range(8, 24), 30, seed=1)
    # new cells of the same donors: nobody's cell is among them, and yet everyone is found
    table = evaluate(train, held_out, make_donors(range(8), 30, seed=2), donor_key="donor")
    assert list(table.index) == [*DISTANCE[:2], "donor_auc", *DISTANCE[2:]]
    assert table.value["donor_auc"] > 0.95
    assert table.value["exact_copies"] == 0
    # the standard error of an AUC of eight donors against eight is 0.15
    assert table.floor["donor_auc"] == pytest.approx(0.5, abs=0.45)
    fresh = evaluate(train, held_out, make_donors(range(100, 130), 10, seed=2), donor_key="donor")
    assert fresh.value["donor_auc"] == pytest.approx(0.5, abs=0.45)
    assert fresh.value["donor_auc"] < table.value["donor_auc"]


def test_donors_must_be_on_one_side_and_several(make_donors):
    train, held_out = make_donors(range(4), 30, seed=0), make_donors(range(4, 8), 30, seed=1)
    with pytest.raises(ValueError, match=r"donors \['donor 3'\] have cells both in train and in held_out"):
        evaluate(train, make_donors(range(3, 7), 30, seed=1), train, donor_key="donor")
    with pytest.raises(ValueError, match="train has one donor"):
        evaluate(train[:30], held_out, train, donor_key="donor")
    with pytest.raises(ValueError, match="held_out has 3 donors in 'donor'; without floor"):
        evaluate(train, held_out[:90], train, donor_key="donor")
    with pytest.raises(KeyError, match=r"donor_key 'person' is not in train\.obs"):
        evaluate(train, held_out, train, donor_key="person")
    floor = make_donors(range(7, 9), 30, seed=2)
    with pytest.raises(ValueError, match=r"donors \['donor 7'\] have cells both in held_out and in floor"):
        evaluate(train, held_out, train, donor_key="donor", floor=floor)


def test_bad_input_is_refused(sets):
    train, held_out, fresh = sets
    with pytest.raises(TypeError, match="synthetic must be an AnnData"):
        evaluate(train, held_out, fresh.to_df())
    with pytest.raises(KeyError, match=r"labels_key 'type' is not in train\.obs"):
        evaluate(train, held_out, fresh, labels_key="type")
    with pytest.raises(ValueError, match="synthetic must have the genes of train"):
        evaluate(train, held_out, fresh[:, :-1])
    with pytest.raises(ValueError, match="held_out has 30 cells; give at least 40"):
        evaluate(train, held_out[:30], fresh)
    with pytest.raises(ValueError, match="fpr must be above 0"):
        evaluate(train, held_out, fresh, fpr=0.0)
    with pytest.raises(ValueError, match="found in train"):
        evaluate(train, ad.concat([train, held_out[:5]], index_unique="-"), fresh)
    with pytest.raises(ValueError, match="n_shadows must be at least 4, got 2"):
        evaluate(train, held_out, fresh, generator=lambda train, seed: train, n_shadows=2)
