"""Drawing is pure: cells depend on the seed alone, whatever other threads do, and no global state is touched."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tests_helpers import QUIET, make_counts, make_model

from activa import ACTIVA


def cells(model, seed: int, **request) -> np.ndarray:
    x = model.generate(300, seed=seed, **request).X
    return x if isinstance(x, np.ndarray) else x.toarray()


def global_state() -> tuple:
    numpy_state = np.random.get_state()
    return random.getstate(), numpy_state[1].tolist(), numpy_state[2], torch.get_rng_state().tolist()


def in_threads(models: list) -> list[np.ndarray]:
    """Cells of 12 seeds by 4 threads, thread ``i`` using model ``i``."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda seed: cells(models[seed % len(models)], seed), range(12)))


@pytest.fixture(scope="module")
def models() -> list[ACTIVA]:
    return [
        make_model(make_counts(seed=i), epochs=2, setup={"labels_key": "cell_type", "batch_key": "batch"})
        for i in range(4)
    ]


@pytest.mark.parametrize("n_models", [1, 4])
def test_threads_get_the_cells_of_their_seeds(models, n_models):
    used = models[:n_models]
    expected = [cells(used[seed % n_models], seed) for seed in range(12)]
    before = global_state(), torch.get_num_threads()
    for found, wanted in zip(in_threads(used), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert (global_state(), torch.get_num_threads()) == before


def test_threads_beside_a_training_get_the_cells_of_their_seeds_and_leave_it_alone(models):
    def train() -> dict[str, torch.Tensor]:
        adata = make_counts(600, seed=9)
        ACTIVA.setup_anndata(adata, labels_key="cell_type")
        model = ACTIVA(adata, n_hidden=(32,), n_latent=5)
        # the trainer installs its signal handlers in the main thread only
        model.train(max_epochs=8, seed=3, **QUIET)
        return model.module.state_dict()

    alone, expected = train(), [cells(models[0], seed) for seed in range(12)]
    found: list = []
    # the training keeps the main thread, the drawing threads start before it and end on their own
    drawing = threading.Thread(target=lambda: found.extend(in_threads(models[:1])))
    drawing.start()
    beside = train()
    drawing.join()
    for made, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(made, wanted)
    assert all(torch.equal(tensor, beside[name]) for name, tensor in alone.items())


@pytest.mark.parametrize("request_", [{}, {"expected": True}, {"min_confidence": 0.3}])
def test_global_state_is_neither_read_nor_changed(model, request_):
    found = []
    for seed in (1, 2):
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
        before = global_state()
        found.append(cells(model, 5, **request_))
        assert global_state() == before
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("request_", [{}, {"expected": True}, {"min_confidence": 0.3}])
def test_cells_do_not_depend_on_the_number_of_threads(model, request_):
    before = torch.get_num_threads()
    made = []
    try:
        for n_threads in (1, 3):
            torch.set_num_threads(n_threads)
            made.append(cells(model, 0, **request_))
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*made)


def test_a_failing_thread_says_so(model, monkeypatch):
    before = torch.get_num_threads()

    def fail(*args):
        raise RuntimeError("no more memory")

    monkeypatch.setattr("activa.drawing.draw_counts", fail)
    with pytest.raises(RuntimeError, match="no more memory"):
        model.generate(900, seed=0)
    assert torch.get_num_threads() == before
    monkeypatch.undo()
    assert model.generate(900, seed=0).n_obs == 900


def test_a_model_in_training_does_not_generate(models):
    model = models[3]
    model.module.train()
    try:
        with pytest.raises(RuntimeError, match="being trained"):
            model.generate(3)
        assert model.module.training
    finally:
        model.module.eval()
