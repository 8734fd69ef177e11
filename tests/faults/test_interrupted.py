"""SIGINT at random moments: the model can be used, and nothing half is left."""

import os
import signal
import warnings
from contextlib import contextmanager

import anndata as ad
import numpy as np
import pytest
import torch
from tests_helpers import QUIET, make_counts

from activa import ACTIVA
from activa.threads import interrupts_wait

# an interrupt may come while something is finalized, where Python can only say so
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

MOMENTS = np.random.default_rng(0).uniform(0, 1, size=(4, 3))


@pytest.fixture(scope="module")
def own_model():
    adata = make_counts(1_500, 200)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA(adata, n_hidden=(32,), n_latent=5)
    model.train(max_epochs=2, **QUIET)
    return model


@contextmanager
def interrupt_after(seconds: float):
    """One SIGINT to this process, so many seconds from now or never; whether its error comes out does not matter."""
    handler = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    # a shell's background jobs ignore it
    of_interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        # an interrupt inside no_grad can leave gradients off, which is PyTorch's, and which train() does not mind
        torch.set_grad_enabled(True)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # Lightning ignores it for good
        signal.signal(signal.SIGALRM, handler)
        signal.signal(signal.SIGINT, of_interrupt)


def seconds_of(work) -> float:
    import time

    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


WRITING = {
    "generate_zarr": (
        lambda m, path: m.generate_zarr(path, 3_000, seed=0, batch_size=256, overwrite=True),
        ad.read_zarr,
    ),
    "save": (
        lambda m, path: m.save(str(path), overwrite=True, save_anndata=True),
        lambda path: ACTIVA.load(str(path), accelerator="cpu").generate(50, seed=0),
    ),
    "export": (
        lambda m, path: m.export(path, overwrite=True),
        lambda path: ACTIVA.from_export(path, accelerator="cpu").generate(50, seed=0),
    ),
}


@pytest.mark.parametrize("kind", WRITING)
def test_writing(kind, own_model, tmp_path):
    write, read = WRITING[kind]
    path = tmp_path / kind
    expected = own_model.generate(50, seed=0).X.toarray()
    seconds = seconds_of(lambda: write(own_model, tmp_path / "whole"))
    cells = read(tmp_path / "whole")
    for moment in MOMENTS[:, 0]:
        with interrupt_after(moment * seconds):
            write(own_model, path)
        if path.exists():
            assert (read(path).X != cells.X).nnz == 0
        np.testing.assert_array_equal(own_model.generate(50, seed=0).X.toarray(), expected)
    write(own_model, path)  # and clears what an interrupt of the clearing left
    assert {item.name for item in tmp_path.iterdir()} == {kind, "whole"}


def test_an_interrupt_that_waits():
    done = []
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_wait():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("all of it")
        assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with interrupts_wait():
            pass
    finally:
        signal.signal(signal.SIGINT, handler)


def test_training_after_an_interrupt_that_left_gradients_off():
    adata = make_counts(100)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA(adata, n_hidden=(8,), n_latent=3)
    torch.set_grad_enabled(False)
    try:
        model.train(max_epochs=1, **QUIET)
        assert not torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)


def test_generate(own_model):
    expected = own_model.generate(3_000, seed=0).X
    seconds = seconds_of(lambda: own_model.generate(3_000, seed=0))
    for moment in MOMENTS[:, 1]:
        with interrupt_after(moment * seconds):
            own_model.generate(3_000, seed=0)
        assert (own_model.generate(3_000, seed=0).X != expected).nnz == 0


def test_train(tmp_path):
    """In the set-up, in an epoch, while the checkpoint is written, while the prior is fitted."""
    adata = make_counts(1_500, 200)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")

    def train(seconds: float | None) -> ACTIVA:
        model = ACTIVA(adata, n_hidden=(32,), n_latent=5)
        with warnings.catch_warnings(), interrupt_after(1e3 if seconds is None else seconds):
            warnings.filterwarnings("ignore", message="Training was interrupted")
            model.train(max_epochs=4, checkpoint_dir=tmp_path, **QUIET)
        return model

    seconds = seconds_of(lambda: train(None))
    for moment in MOMENTS[:, 2]:
        model = train(moment * seconds)
        assert all(torch.isfinite(p).all() for p in model.module.parameters())
        # what an interrupt of the clearing leaves is hidden, and for the next that writes there to clear
        assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["last.ckpt"]
        if model.is_trained:
            assert not model.module.training
            assert model.generate(20, seed=0).n_obs == 20
        else:
            model.train(max_epochs=1, **QUIET)
