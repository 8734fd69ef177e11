"""Full disks and read-only folders: a clear error, before work where it can be foreseen; nothing that was there is lost."""

import errno
import json
import os
import subprocess

import pytest
import torch
from faults.children import start
from faults.starved import WRITING, digest, starve, try_all, untrained
from tests_helpers import QUIET

from activa import ACTIVA
from activa.io.atomic import check_space


def test_files_that_can_grow_no_more(tmp_path):
    """As on a disk that is full, by a limit that needs no rights: in a process of its own."""
    (tmp_path / "out").mkdir()
    process = start(starve, tmp_path / "out", tmp_path / "report")
    process.join(300)
    assert process.exitcode == 0
    report = json.loads((tmp_path / "report").read_text())
    assert set(report["errors"]) == set(WRITING) and report["kept"]
    for kind, (name, _, message) in report["errors"].items():
        assert name == "OSError" and kind in message and "What was there before is kept" in message


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MiB, which only root can make."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk):
    model = untrained()
    model.train(max_epochs=1, **QUIET)
    model.export(small_disk / "export")
    model.save(str(small_disk / "save"))
    filling = small_disk / "filling"
    with filling.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    before = digest(small_disk)
    errors = try_all(model, small_disk)
    assert {number for _, number, _ in errors.values()} <= {errno.ENOSPC, errno.EIO} and len(errors) == len(WRITING)
    assert "checkpoint_dir" in errors["train"][2]  # before training
    assert digest(small_disk) == before
    # HDF5 would crash the process
    with pytest.raises(OSError, match=r"dir_path.* MiB free, and a file of the cells needs"):
        model.save(str(small_disk / "cells"), save_anndata=True)
    filling.unlink()
    WRITING["save"](model, small_disk)
    assert ACTIVA.load(str(small_disk / "save"), adata=False, accelerator="cpu").generate(5).n_obs == 5


def test_a_disk_without_room_is_found_before_training(tmp_path):
    with pytest.raises(OSError, match="checkpoint_dir=.* MiB free") as found:
        check_space(tmp_path / "run", 2**62, argument="checkpoint_dir", what="a checkpoint")
    assert found.value.errno == errno.ENOSPC


@pytest.fixture
def read_only(tmp_path):
    """A folder with a file that cannot be written in: for root, who may write anywhere, a disk that is read-only."""
    folder = tmp_path / "read_only"
    folder.mkdir()
    if os.geteuid() == 0:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True).returncode:
            pytest.skip("root may write anywhere, and no disk can be mounted here")
    folder.chmod(0o555) if os.geteuid() else None
    yield folder
    if os.geteuid() == 0:
        subprocess.run(["umount", str(folder)], check=True)
    folder.chmod(0o755)


def test_a_read_only_folder(read_only):
    model = untrained()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    with pytest.raises(PermissionError, match="checkpoint_dir"):
        model.train(max_epochs=2, checkpoint_dir=read_only, **QUIET)
    with pytest.raises(OSError, match=r"checkpoint_dir=.* no such folder can be made"):
        model.train(max_epochs=2, checkpoint_dir=read_only / "run", **QUIET)
    # before any work
    assert not model.is_trained
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    model.train(max_epochs=1, **QUIET)
    for kind in ("save", "export", "generate_zarr"):
        with pytest.raises(PermissionError, match=f"path=.*{kind}.*cannot be made|can be made in the folder"):
            WRITING[kind](model, read_only)
    assert not list(read_only.iterdir())


def test_a_checkpoint_folder_that_is_a_file(tmp_path):
    (tmp_path / "run").write_text("years of work")
    with pytest.raises(NotADirectoryError, match="checkpoint_dir"):
        untrained().train(max_epochs=1, checkpoint_dir=tmp_path / "run", **QUIET)
    assert (tmp_path / "run").read_text() == "years of work"
