import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests_helpers import make_counts

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
EXPERIMENTS = ["training", "correlation_discrepancy", "marker_expression", "manifold", "generation"]


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    paper = import_module("paper")
    make_counts(200).write_h5ad(tmp_path / "made.h5ad")
    quick = ["--epochs", "2", "--paper-epochs", "3", "--generated", "300"]

    def call(*only):
        arguments = ["--data", str(tmp_path / "made.h5ad"), "--out", str(tmp_path), *quick, "--only", *only]
        monkeypatch.setattr(sys, "argv", ["paper.py", *arguments])
        paper.main()
        return tmp_path / "made"

    return call


def test_the_report_has_what_was_run_and_nothing_is_run_twice(run, monkeypatch):
    folder = run(*EXPERIMENTS[:2])
    trained = pd.read_csv(folder / "training.csv").set_index("set")
    assert trained["epochs"].to_dict() == {"ACTIVA": 2, "as published": 3}
    assert (trained["seconds"] > 0).all()

    def refuse(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr("paper.Models.training", refuse)
    monkeypatch.setattr("_paper_models.train_configuration", refuse)
    run(*EXPERIMENTS)
    report = (folder / "report.md").read_text()
    for name in EXPERIMENTS:
        assert f"## {import_module('_paper_report').EXPERIMENTS[name].title}" in report
    assert report.count("![") == 5
    tables = (folder / "tables.md").read_text()
    assert "![" not in tables and set(tables.splitlines()) < set(report.splitlines())
    for line in report.splitlines():
        if line.startswith("!["):
            assert (folder / line.partition("(")[2].rstrip(")")).stat().st_size > 1_000
    generation = pd.read_csv(folder / "generation.csv")
    assert list(generation["cells"]) == [300, 300]
    table = pd.read_csv(folder / "correlation_discrepancy.csv")
    assert list(table["set"].unique()) == ["real", "ACTIVA", "as published", "held out"]


def test_an_interrupted_run_goes_on_where_it_was(run, monkeypatch):
    end_epoch = import_module("_paper_models").Clock.on_train_epoch_end

    def interrupt(clock, trainer, *args):
        end_epoch(clock, trainer, *args)
        if trainer.max_epochs == 3 and trainer.current_epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("_paper_models.Clock.on_train_epoch_end", interrupt)
    with pytest.warns(UserWarning, match="interrupted after 1 of 3"), pytest.raises(SystemExit, match="call again"):
        run("training")
    epochs = []
    start_epoch = import_module("_paper_models").Clock.on_train_epoch_start

    def note(clock, trainer, *args):
        epochs.append(trainer.current_epoch)
        start_epoch(clock, trainer, *args)

    monkeypatch.setattr("_paper_models.Clock.on_train_epoch_end", end_epoch)
    monkeypatch.setattr("_paper_models.Clock.on_train_epoch_start", note)
    trained = pd.read_csv(run("training") / "training.csv").set_index("set")
    # the epoch that was interrupted before its checkpoint is trained again, and counted once
    assert epochs == [1, 2] and trained.loc["as published", "epochs"] == 3


def test_augmentation_has_scvi_and_goes_on_where_it_was(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    benchmark = import_module("_augmentation")
    monkeypatch.setattr(benchmark, "KEPT", (6, 2))
    adata, path, trained = make_counts(160), tmp_path / "rows.csv", []
    train = benchmark.scvi.model.SCVI.train
    monkeypatch.setattr(
        benchmark.scvi.model.SCVI, "train", lambda self, *args, **kw: trained.append(self) or train(self, *args, **kw)
    )
    quick = {"scvi_epochs": 1, "n_generated": 20, "n_trees": 10, "methods": ("none",)}
    first = benchmark.augment(adata, "cell_type", path, 1, **quick)
    assert list(first["method"]) == ["none", "scvi_counts", "scvi_rates"] * 2
    # one scVI for two methods, whose seconds are of both
    assert len(trained) == 2 and (first.loc[first["method"] != "none", "seconds"] > 0.01).all()
    again = benchmark.augment(adata, "cell_type", path, 2, **quick)
    assert len(trained) == 4 and len(again) == 12
    pd.testing.assert_frame_equal(again[:6], first, check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_csv(path), again, check_dtype=False)


def test_scvi_rates_have_no_noise_of_counting(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    adata = make_counts(160)
    adata.obs["type"] = adata.obs["cell_type"]
    controls = import_module("_augmentation").ScviControls(2)
    n_kept = (adata.obs["type"] == "T").sum()
    rates, counts = (method(adata, "T", 10 * n_kept, 0).toarray() for method in (controls.rates, controls.counts))
    np.testing.assert_allclose(rates.sum(axis=1), 1e4, rtol=1e-3)
    counts = 1e4 * counts / counts.sum(axis=1, keepdims=True)
    assert (rates > 0).all() and (counts == 0).mean() > 0.05
    # ten cells of each kept cell
    spread = {name: x.reshape(10, n_kept, -1).std(axis=0).mean() for name, x in (("rates", rates), ("counts", counts))}
    assert spread["rates"] < 0.5 * spread["counts"]
    # from the posterior of the cell, not its mean
    assert len(np.unique(rates, axis=0)) == len(rates)
