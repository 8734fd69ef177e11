import sys
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from tests_helpers import make_counts

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_the_table_has_both_protocols_and_nothing_is_run_twice(monkeypatch, tmp_path):
    pytest.importorskip("harmonypy")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    benchmark = import_module("paper_protocol")
    make_counts(200).write_h5ad(tmp_path / "made.h5ad")
    peers = tmp_path / "peers" / "made"
    peers.mkdir(parents=True)
    make_counts(80, seed=7).write_h5ad(peers / "scvi-0.h5ad")
    quick = ["--epochs", "2", "--paper-epochs", "2", "--trees", "10", "--seeds", "0", "1"]
    folders = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path), "--peers", str(peers.parent)]
    monkeypatch.setattr(sys, "argv", ["paper_protocol.py", "--data", str(tmp_path / "made.h5ad"), *quick, *folders])
    benchmark.main()
    rows = pd.read_csv(tmp_path / "paper_protocol.csv")
    names = ["ACTIVA", "as published", "held out", "scVI"]
    expected = {(0, name) for name in names} | {(1, "ACTIVA"), (1, "held out")}
    assert set(zip(rows["seed"], rows["set"], strict=True)) == expected
    assert (rows.groupby(["set", "seed", "integrated"]).size() == 5).all() and len(rows) == 6 * 2 * 5

    table = benchmark.summary(rows).set_index("set")
    chosen = rows[(rows["set"] == "ACTIVA") & rows["integrated"]].groupby("seed")["auc"]
    assert table.loc["ACTIVA", "AUC, integrated"] == pytest.approx(chosen.mean().mean())
    assert table.loc["ACTIVA", "sd of seeds, integrated"] == pytest.approx(chosen.mean().std())
    assert table.loc["ACTIVA", "sd of folds, integrated"] == pytest.approx(chosen.var().mean() ** 0.5)
    assert table["seeds"].to_dict() == {"ACTIVA": 2, "held out": 2, "as published": 1, "scVI": 1}
    assert table.loc["as published", "epochs"] == 2

    def refuse(*args, **kwargs):
        raise AssertionError("run again")

    monkeypatch.setattr("_paper_models.train_configuration", refuse)
    monkeypatch.setattr("paper_protocol.experiments.rf_detection", refuse)
    benchmark.main()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "paper_protocol.csv"), rows)
