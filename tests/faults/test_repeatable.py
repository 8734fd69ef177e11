"""The same seed gives the same weights and cells: in other processes, after a file, after other work."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from faults.repeat import cells_of, trained, weights_of
from tests_helpers import make_counts

from activa import ACTIVA


@pytest.fixture(scope="module")
def model():
    return trained()


@pytest.mark.parametrize("compiles", [False, True])
def test_another_process(model, compiles, tmp_path):
    """With other hashes of strings, hence other orders of sets; and one that compiles the kernel itself."""
    script = Path(__file__).with_name("repeat.py")
    environment = os.environ | {"PYTHONHASHSEED": "12345"} | ({"NUMBA_CACHE_DIR": str(tmp_path)} if compiles else {})
    done = subprocess.run(
        [sys.executable, script, str(torch.get_num_threads())],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [weights_of(model), cells_of(model), cells_of(model)]


def test_another_run_after_other_work(model):
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    model.generate(10, seed=9)
    again = trained()
    assert weights_of(again) == weights_of(model) and cells_of(again) == cells_of(model)


def test_files(model, tmp_path):
    model.save(str(tmp_path / "saved"), save_anndata=True)
    model.export(tmp_path / "export")
    read = [
        ACTIVA.load(str(tmp_path / "saved"), accelerator="cpu"),
        ACTIVA.load(str(tmp_path / "saved"), adata=False, accelerator="cpu"),
        ACTIVA.from_export(tmp_path / "export", accelerator="cpu"),
    ]
    assert {(weights_of(m), cells_of(m)) for m in read} == {(weights_of(model), cells_of(model))}
    # trained on, they go the same way
    for m in (model_again := trained(), read[0]):
        m.train(max_epochs=1, batch_size=100, seed=4, enable_progress_bar=False)
    assert weights_of(read[0]) == weights_of(model_again)


def test_the_number_of_threads_that_generate(model):
    before, expected = torch.get_num_threads(), cells_of(model)
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert cells_of(model) == expected
    finally:
        torch.set_num_threads(before)


def test_another_seed_is_another_run(model):
    adata = make_counts(300, 60)
    ACTIVA.setup_anndata(adata, labels_key="cell_type", batch_key="batch")
    first, other = (ACTIVA(adata, n_hidden=(32,), n_latent=5, seed=seed) for seed in (1, 2))
    assert weights_of(first) != weights_of(other)
    assert model.generate(700, seed=3).X.sum() != model.generate(700, seed=4).X.sum()
