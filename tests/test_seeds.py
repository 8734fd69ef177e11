"""Seeds are checked, and None follows scvi-tools' setting."""

import numpy as np
import pytest
import scvi
import torch

from activa.seeds import check_seed, seeded, torch_generator


@pytest.fixture
def scvi_seed():
    """Sets ``scvi.settings.seed`` without seeding the global generators for the tests that follow."""
    states, before = (np.random.get_state(), torch.get_rng_state()), scvi.settings._seed
    yield lambda seed: setattr(scvi.settings, "seed", seed)
    scvi.settings._seed = before
    np.random.set_state(states[0])
    torch.set_rng_state(states[1])


def test_none_follows_scvis_seed(model, scvi_seed):
    scvi_seed(5)
    assert check_seed(None) == 5 and check_seed(3) == 3
    first, second = (model.generate(20) for _ in range(2))
    assert first.uns["activa"]["seed"] == 5 and (first.X != second.X).nnz == 0
    assert (first.X != model.generate(20, seed=5).X).nnz == 0


def test_none_is_fresh_where_scvi_has_no_seed(model):
    assert scvi.settings.seed is None
    first, second = model.generate(20), model.generate(20)
    assert (first.X != second.X).nnz
    again = model.generate(20, seed=first.uns["activa"]["seed"])
    assert (first.X != again.X).nnz == 0


def test_a_generator_gives_what_the_seeded_global_one_gives():
    with seeded(3, 1):
        expected = torch.rand(5)
    before = torch.get_rng_state()
    assert torch.equal(torch.rand(5, generator=torch_generator("cpu", 3, 1)), expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed, error", [(-1, ValueError), (2**32, ValueError), (1.0, TypeError), (True, TypeError)])
def test_other_seeds_are_refused(seed, error):
    with pytest.raises(error, match="seed"):
        check_seed(seed)
