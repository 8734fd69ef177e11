"""SIGKILL: nothing half is found after, and training goes on with at most one epoch lost. ``kill.py`` does more of it."""

import signal
from pickle import UnpicklingError

import pytest
import torch
from faults.children import end, start, wait_for
from faults.kill import kill
from faults.work import SETTINGS, train
from tests_helpers import QUIET, make_counts

from activa import ACTIVA
from activa.io.atomic import atomic_folder


@pytest.mark.parametrize("kind", ["train", "save", "generate_zarr"])
def test_a_killed_process_leaves_nothing_half(kind, tmp_path):
    assert kill(kind, 2 if kind == "train" else 1, seed=0, folder=tmp_path)["killed"].all()


def test_sigterm_ends_the_process_at_once(tmp_path):
    """And is not taken for an interrupt, after which the rest of a script would go on with a model half trained."""
    process = start(train, tmp_path)
    wait_for(tmp_path / "run" / "last.ckpt", process)
    end(process, signal.SIGTERM)
    assert process.exitcode == 128 + signal.SIGTERM
    assert (tmp_path / "run" / "last.ckpt").exists() and not (tmp_path / "weights.pt").exists()


def test_a_run_killed_after_its_last_epoch_has_the_prior_to_fit(tmp_path):
    """Which draws random numbers, that are to be those of a run that was not killed."""
    adata = make_counts(150, 20)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    straight, resumed = (ACTIVA(adata, **SETTINGS) for _ in range(2))
    straight.train(max_epochs=2, checkpoint_dir=tmp_path, **QUIET)
    resumed.train(max_epochs=2, ckpt_path=tmp_path / "last.ckpt", **QUIET)
    for name, value in straight.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], value), name


def test_what_was_moved_out_of_the_way_is_put_back(tmp_path):
    """A process that is killed when the old folder is moved away, and the new one not yet in its place."""
    path, left = tmp_path / "store", tmp_path / ".store.0123abcd.part"
    (left / ".old").mkdir(parents=True)
    (left / ".old" / "mark").write_text("the user's")
    with (
        pytest.raises(FileExistsError, match="overwrite"),
        atomic_folder(path, overwrite=False, what="store", marks=()),
    ):
        pass
    assert (path / "mark").read_text() == "the user's" and list(tmp_path.iterdir()) == [path]


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    """Two that write to one path at a time."""
    path, marks = tmp_path / "store", ("mark",)
    with atomic_folder(path, overwrite=True, what="store", marks=marks) as first:
        with atomic_folder(path, overwrite=True, what="store", marks=marks) as second:
            (second / "mark").write_text("second")
        (first / "mark").write_text("first")
    assert (path / "mark").read_text() == "first" and list(tmp_path.iterdir()) == [path]


def test_half_a_file_is_refused(tmp_path):
    adata = make_counts(150, 20)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA(adata, **SETTINGS)
    model.train(max_epochs=1, checkpoint_dir=tmp_path, **QUIET)
    whole = (tmp_path / "last.ckpt").read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        (tmp_path / "half.ckpt").write_bytes(whole[:size])
        with pytest.raises(ValueError, match="half.ckpt.*not a whole one"):
            model.train(max_epochs=1, ckpt_path=tmp_path / "half.ckpt", **QUIET)
    model.save(str(tmp_path / "saved"))
    whole = (tmp_path / "saved" / "model.pt").read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        (tmp_path / "saved" / "model.pt").write_bytes(whole[:size])
        with pytest.raises((RuntimeError, EOFError, UnpicklingError)):
            ACTIVA.load(str(tmp_path / "saved"), adata=False, accelerator="cpu")
