import numpy as np
import pytest
from scipy.spatial.distance import cdist

from activa.data import log_normalize
from activa.metrics.privacy import TooClose, refuse_close


@pytest.fixture
def sets(make):
    return make(200, seed=1), make(300, seed=2), make(300, seed=3)


def logs(adata):
    return log_normalize(adata.X).toarray()


def test_distances_agree_with_brute_force(sets):
    train, held_out, fresh = sets
    too_close = TooClose(train, held_out, quantile=0.1)
    mean = logs(train).mean(axis=0)
    axes = np.linalg.svd(logs(train) - mean, full_matrices=False)[2][:50]
    place = lambda adata: (logs(adata) - mean) @ axes.T
    expected = cdist(place(fresh), place(train)).min(axis=1)
    np.testing.assert_allclose(too_close.distances(fresh), expected, rtol=0.01)
    limit = np.quantile(cdist(place(held_out), place(train)).min(axis=1), 0.1)
    assert too_close.threshold == pytest.approx(limit, rel=0.01)


def test_no_kept_cell_is_closer_than_the_limit_and_copies_are_all_refused(sets, memorize):
    train, held_out, fresh = sets
    too_close = TooClose(train, held_out, labels_key="cell_type")
    refused = too_close.refuses(fresh)
    assert refused.mean() == pytest.approx(0.05, abs=0.05)
    kept = refuse_close(fresh, train, held_out, labels_key="cell_type")
    assert list(kept.obs_names) == list(fresh.obs_names[~refused])
    limits = np.array([too_close.thresholds[name] for name in kept.obs["cell_type"]])
    assert (too_close.distances(kept) >= limits).all()
    assert too_close.refuses(memorize(train, 0)).all()
    with pytest.raises(ValueError, match="all 200 synthetic cells are closer"):
        refuse_close(memorize(train, 0), train, held_out)


def test_each_type_has_a_limit_where_enough_cells_are_held_out(sets):
    train, held_out, _ = sets
    rare = held_out.obs["cell_type"] == "T"
    few = held_out[~rare | (np.cumsum(rare) <= 5)]
    too_close = TooClose(train, few, labels_key="cell_type")
    assert set(too_close.thresholds) == {"B", "NK"}
    for name, threshold in too_close.thresholds.items():
        of_type = few[few.obs["cell_type"] == name]
        assert (too_close.distances(of_type) < threshold).mean() == pytest.approx(0.05, abs=0.01)
    t_cells = held_out[rare]
    expected = too_close.distances(t_cells) < too_close.threshold
    np.testing.assert_array_equal(too_close.refuses(t_cells), expected)


def test_genes_in_another_order_and_layers_change_nothing_and_inputs_stay(sets):
    train, held_out, fresh = sets
    too_close = TooClose(train, held_out)
    shuffled = fresh[:, ::-1].copy()
    np.testing.assert_array_equal(too_close.refuses(shuffled), too_close.refuses(fresh))
    in_layer = [adata.copy() for adata in sets]
    for adata in in_layer:
        adata.layers["counts"], adata.X = adata.X.copy(), adata.X * 0.5
    kept = refuse_close(in_layer[2], *in_layer[:2], layer="counts")
    assert list(kept.obs_names) == list(refuse_close(fresh, train, held_out).obs_names)
    kept.layers["counts"].data[:] = 0
    assert in_layer[2].layers["counts"].data.all()


def test_bad_input_is_refused(sets, make):
    train, held_out, fresh = sets
    with pytest.raises(ValueError, match="quantile must be above 0 and below 1, got 1"):
        TooClose(train, held_out, quantile=1)
    with pytest.raises(ValueError, match=r"held_out has 10 cells; quantile=0.05 needs at least 20"):
        TooClose(train, held_out[:10])
    with pytest.raises(ValueError, match="is found in train: give real cells"):
        TooClose(train, train[:100])
    with pytest.raises(KeyError, match="labels_key 'type' is not in train.obs"):
        TooClose(train, held_out, labels_key="type")
    with pytest.raises(TypeError, match="held_out must be an AnnData"):
        TooClose(train, held_out.to_df())
    too_close = TooClose(train, held_out, labels_key="cell_type")
    with pytest.raises(ValueError, match="cells must have the genes of train: by var_names 119"):
        too_close.refuses(fresh[:, 1:])
    del fresh.obs["cell_type"]
    with pytest.raises(KeyError, match=r"labels_key 'cell_type' is not in cells\.obs"):
        too_close.refuses(fresh)
