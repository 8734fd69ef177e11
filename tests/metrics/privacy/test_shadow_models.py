import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from activa.metrics.privacy import donor_auc, evaluate, membership_auc, shadow_attack, tpr_at_fpr
from activa.metrics.privacy.shadow_models import Shadows, features, left_out


def auc(scores):
    return roc_auc_score(scores["member"], scores["score"])


@pytest.fixture
def sets(make):
    return make(150, seed=1), make(150, seed=2)


@pytest.fixture
def perfect(make):
    """A generator that knows the law of the cells, and forgets those that it is given."""
    return lambda train, seed: make(train.n_obs, seed=10 + seed % 1000)


def test_a_generator_that_remembers_is_found_and_a_perfect_one_is_not(sets, memorize, perfect):
    train, held_out = sets
    found = shadow_attack(memorize, train, held_out, memorize(train, 0), n_shadows=4, labels_key="cell_type")
    assert list(found.columns) == ["set", "cell", "member", "score"]
    assert list(found["cell"]) == [*train.obs_names, *held_out.obs_names]
    assert auc(found) > 0.99
    assert tpr_at_fpr(found.score[found.member], found.score[~found.member]) > 0.95
    none = shadow_attack(perfect, train, held_out, perfect(train, 1), n_shadows=4)
    assert auc(none) == pytest.approx(0.5, abs=4 * 0.41 / np.sqrt(150))


def test_it_finds_what_is_hidden_from_the_distance_attack():
    # Every cell is published far from where it is, in one direction: no distance tells, but shadows teach where to look.
    rng = np.random.default_rng(0)
    spread = rng.lognormal(0, 1, size=(300, 1))
    cells = spread * rng.normal(size=(300, 5))
    published = cells[:150] + 0.5 * spread[:150] * rng.normal(size=(150, 5))
    members = np.repeat([True, False], 150)
    plain = membership_auc(cells[:150], cells[150:], published)
    out = left_out(150, 150, 8, rng, None, None)
    made = [cells[~absent] + 0.5 * spread[~absent] * rng.normal(size=(150, 5)) for absent in out]
    shadows = Shadows(cells, out, made)
    assert roc_auc_score(members, shadows.attack(published)) > plain + 0.05


def test_seeds_and_the_global_random_state(sets, make):
    def careless(train, seed):
        return make(train.n_obs, seed=np.random.randint(1000))

    train, held_out = sets
    np.random.seed(3)
    torch.manual_seed(3)
    states = np.random.get_state()[1].copy(), torch.get_rng_state()
    first, again, other = (
        shadow_attack(careless, train, held_out, make(150, seed=4), n_shadows=4, seed=seed) for seed in (0, 0, 1)
    )
    assert (np.random.get_state()[1] == states[0]).all() and torch.equal(torch.get_rng_state(), states[1])
    pd.testing.assert_frame_equal(first, again)
    assert (first["score"] != other["score"]).any()


def test_what_the_generator_is_given(sets, memorize):
    train, held_out = sets
    before = train.obs.copy()
    seen = []

    def generator(cells, seed):
        seen.append((cells.n_obs, cells.obs["cell_type"].value_counts().to_dict(), seed))
        made = memorize(cells, 0)
        cells.obs["scratch"] = 1
        cells.X.data[:] = 0
        return made

    shadow_attack(generator, train, held_out, train, n_shadows=5, labels_key="cell_type")
    pd.testing.assert_frame_equal(train.obs, before)
    assert train.X.data.all() and held_out.X.data.all()
    assert [n for n, _, _ in seen] == [150] * 5
    assert len({seed for _, _, seed in seen}) == 5
    expected = pd.concat([train.obs, held_out.obs])["cell_type"].value_counts() / 2
    assert all(abs(n - expected[name]) <= 1 for _, types, _ in seen for name, n in types.items())


@pytest.mark.parametrize(("n_train", "n_held_out", "n_shadows"), [(60, 60, 4), (90, 30, 8), (90, 30, 13)])
def test_every_cell_is_left_out_as_often(n_train, n_held_out, n_shadows):
    out = left_out(n_train, n_held_out, n_shadows, np.random.default_rng(0), None, None)
    assert (out.sum(axis=1) == n_held_out).all()
    times = out.sum(axis=0)
    assert times.max() - times.min() <= 1 and times.min() >= 2


def test_whole_donors_are_left_out_and_found(make_donors, memorize):
    train, held_out = make_donors(range(6), 20, seed=0), make_donors(range(6, 12), 20, seed=1)
    donors = np.concatenate([train.obs["donor"], held_out.obs["donor"]])
    out = left_out(120, 120, 4, np.random.default_rng(0), None, donors)
    assert all(out[shadow][donors == name].std() == 0 for shadow in range(4) for name in np.unique(donors))
    scores = shadow_attack(memorize, train, held_out, memorize(train, 0), donor_key="donor", n_shadows=4)
    assert donor_auc(scores["score"], donors, scores["member"]) == 1
    floor = make_donors(range(20, 24), 20, seed=2)
    table = evaluate(
        train, held_out, memorize(train, 0), donor_key="donor", floor=floor, generator=memorize, n_shadows=4
    )
    assert table.value["shadow_donor_auc"] == 1 and table.value["shadow_auc"] > 0.95
    assert table.floor["shadow_auc"] == pytest.approx(0.5, abs=0.3)


def test_features_do_not_depend_on_the_order(points):
    pool, synthetic, _ = points
    found = features(pool, synthetic)
    again = features(pool[::-1], synthetic[np.random.default_rng(0).permutation(len(synthetic))])[::-1]
    np.testing.assert_allclose(found, again, atol=1e-6)
    assert np.isfinite(features(pool, pool[:3])).all()


def test_a_generator_that_fails_or_returns_something_else_says_so(sets):
    train, held_out = sets
    with pytest.raises(TypeError, match="what the generator returned must be an AnnData"):
        shadow_attack(lambda cells, seed: cells.to_df(), train, held_out, train, n_shadows=4)
    with pytest.raises(ValueError, match="what the generator returned must have the genes of train"):
        shadow_attack(lambda cells, seed: cells[:, 1:], train, held_out, train, n_shadows=4)
    with pytest.raises(KeyError, match="donor_key 'donor' is not in train.obs"):
        shadow_attack(lambda cells, seed: cells, train, held_out, train, donor_key="donor")
    with pytest.raises(KeyboardInterrupt):
        shadow_attack(interrupted, train, held_out, train, n_shadows=4)


def interrupted(cells, seed):
    raise KeyboardInterrupt
