"""Overwriting replaces what activa wrote and nothing else, and a link stays a link."""

import numpy as np
import pytest
from tests_helpers import make_counts, make_model

from activa import ACTIVA
from activa.io import DEMO_MARKS
from activa.io.atomic import atomic_file, atomic_folder


@pytest.fixture(scope="module")
def model() -> ACTIVA:
    return make_model(epochs=1, setup={"labels_key": "cell_type", "batch_key": "batch"})


WRITING = {
    "export": lambda model, path: model.export(path, overwrite=True),
    "sampler": lambda model, path: model.sampler.save(path, overwrite=True),
    "zarr": lambda model, path: model.generate_zarr(path, 20, seed=0, overwrite=True),
}
MINE = ["cells.h5ad", "notes/today.txt", "tables.zarr/mine.csv", "obs/mine.csv", ".hidden", "model.json.bak"]


@pytest.mark.parametrize("kind", WRITING)
def test_a_folder_with_anything_else_is_left_and_named(kind, model, tmp_path):
    write, path = WRITING[kind], tmp_path / "written"
    write(model, path)
    write(model, path)
    for name in MINE:
        file = path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
        before = sorted(path.rglob("*"))
        with pytest.raises(FileExistsError, match=f"{name}.*not overwritten"):
            write(model, path)
        assert sorted(path.rglob("*")) == before and list(tmp_path.iterdir()) == [path]
        file.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (path / "link").symlink_to(elsewhere)
    with pytest.raises(FileExistsError, match="link"):
        write(model, path)
    (path / "link").unlink()
    write(model, path)


@pytest.mark.parametrize("kind", WRITING)
def test_a_link_stays_and_its_target_is_replaced(kind, model, tmp_path):
    write, link, target = WRITING[kind], tmp_path / "link", tmp_path / "disk" / "target"
    target.parent.mkdir()
    link.symlink_to(target)
    write(model, link)  # a link to nothing
    before = target.stat().st_ino
    write(model, link)
    assert link.is_symlink() and target.is_dir() and target.stat().st_ino != before
    assert list(target.parent.iterdir()) == [target]


def test_a_link_to_a_file_stays(tmp_path):
    (tmp_path / "target.html").write_text("old")
    (tmp_path / "link.html").symlink_to(tmp_path / "target.html")
    with atomic_file(tmp_path / "link.html", overwrite=True, what="report") as part:
        part.write_text("new")
    assert (tmp_path / "link.html").is_symlink() and (tmp_path / "target.html").read_text() == "new"


def test_what_came_while_the_new_one_was_written_is_kept(tmp_path):
    path = tmp_path / "demo"
    path.mkdir()
    (path / "metrics.csv").write_text("old")
    with (
        pytest.raises(FileExistsError, match="mine"),
        atomic_folder(path, overwrite=True, what="demo", marks=DEMO_MARKS) as part,
    ):
        (part / "metrics.csv").write_text("new")
        (path / "mine").write_text("mine")
    assert (path / "mine").read_text() == "mine" and (path / "metrics.csv").read_text() == "old"


def test_a_store_of_real_cells_is_not_overwritten(model, tmp_path):
    path = tmp_path / "real.zarr"
    make_counts(30).write_zarr(path)
    with pytest.raises(FileExistsError, match="holds no zarr store"):
        model.generate_zarr(path, 5, overwrite=True)


class TestMemory:
    @pytest.fixture(autouse=True)
    def _little(self, monkeypatch):
        for module in ("memory", "drawing"):
            monkeypatch.setattr(f"activa.{module}.available_memory", lambda: 2**20)

    def test_too_many_cells_are_refused_before_they_are_drawn(self, model, monkeypatch):
        def refuse(*args, **kwargs):
            raise AssertionError("cells were drawn")

        for asked in ({"n": 10**8}, {"labels": {"T": 10**8}}):
            with monkeypatch.context() as patch:
                patch.setattr("activa.sampler.draw_chunks", refuse)
                for call in (model.generate, model.generate_batches, model.augment):
                    with pytest.raises(MemoryError, match="100000000 cells need about 9.3 GiB.*0.0 GiB are available"):
                        call(**asked, seed=0)
        # the plan fits, the cells do not
        for call in (model.generate, model.augment):
            with pytest.raises(MemoryError, match="8000 cells.*generate_batches"):
                call(8_000, seed=0)
        with pytest.raises(MemoryError, match="4000 cells"):
            model.generate(4_000, seed=0, expected=True)

    def test_what_fits_is_not_refused(self, model):
        # as dense values these would be larger than what there is
        cells = model.generate(2_000, seed=0)
        assert cells.n_obs * cells.n_vars * 16 > 2**20 > 2 * 8 * cells.X.nnz
        assert sum(chunk.n_obs for chunk in model.generate_batches(8_000, seed=0)) == 8_000


def test_memory_that_is_told_is_positive():
    from activa.memory import available_memory

    told = available_memory()
    assert told is None or 2**20 < told < 2**50
    assert np.isfinite(told or 1)
