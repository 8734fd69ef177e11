"""The command line: results on stdout, outputs complete or not at all, one line for refused input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from io import StringIO

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_helpers import make_counts, make_model

pytest.importorskip("typer")
from typer.testing import CliRunner

from activa import ACTIVA
from activa.cli.app import app


def run(*arguments, code: int = 0):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def refused(*arguments) -> str:
    """The one line of a command that is refused."""
    result = run(*arguments, code=2)
    assert result.stdout == "" and "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("activa: "), result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Files of real cells and a model; tests must leave them as they are."""
    folder = tmp_path_factory.mktemp("shared")
    train, real = make_counts(240), make_counts(120, seed=1)
    train.layers["counts"] = train.X.copy()
    train.write_h5ad(folder / "train.h5ad")
    real.write_h5ad(folder / "real.h5ad")
    real.write_zarr(folder / "real.zarr")
    model = make_model(train, epochs=3, setup={"labels_key": "cell_type", "batch_key": "batch"})
    model.export(folder / "model")
    return folder


def test_fit_is_what_the_library_does(shared, tmp_path):
    arguments = [
        "--labels-key",
        "cell_type",
        "--batch-key",
        "batch",
        "--layer",
        "counts",
        "--max-epochs",
        2,
        "--seed",
        4,
    ]
    told = json.loads(run("fit", shared / "train.h5ad", "-o", tmp_path / "m", *arguments).stdout)
    assert told["trained_on_cells"] == 240 and told["genes"] == 40 and told["batches"] == ["one", "two"]
    assert json.loads(run("info", tmp_path / "m").stdout) == told
    adata = ad.read_h5ad(shared / "train.h5ad")
    assert told["types"] == adata.obs["cell_type"].value_counts().to_dict()
    ACTIVA.setup_anndata(adata, labels_key="cell_type", batch_key="batch", layer="counts")
    model = ACTIVA(adata, seed=4)
    model.train(max_epochs=2, seed=4, enable_progress_bar=False)
    ours, theirs = (m.generate(50, seed=0).X for m in (model, ACTIVA.from_export(tmp_path / "m")))
    assert (ours != theirs).nnz == 0
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_generate_is_what_the_library_does(shared, tmp_path, suffix):
    output = tmp_path / f"cells.{suffix}"
    told = json.loads(
        run("generate", shared / "model", "--label", "B=20", "--label", "T=5", "-o", output, "--seed", 3, "--batch", "two").stdout
    )  # fmt: skip
    assert told == {"path": str(output), "seed": 3, "cells": 25, "types": {"B": 20, "NK": 0, "T": 5}}
    cells = ad.read_h5ad(output) if suffix == "h5ad" else ad.read_zarr(output)
    expected = ACTIVA.from_export(shared / "model").generate(labels={"B": 20, "T": 5}, batch="two", seed=3)
    assert (cells.X != expected.X).nnz == 0 and set(cells.obs["batch"]) == {"two"}
    assert list(tmp_path.iterdir()) == [output]


def test_n_is_filled_up_by_the_other_types(shared, tmp_path):
    told = json.loads(run("generate", shared / "model", "-n", 100, "--label", "B=50", "-o", tmp_path / "a.h5ad").stdout)
    sizes = json.loads(run("info", shared / "model").stdout)["types"]
    assert told["cells"] == 100 and told["types"]["B"] == 50
    assert abs(told["types"]["T"] - 50 * sizes["T"] / (sizes["T"] + sizes["NK"])) <= 0.5
    assert "-n=10" in refused("generate", shared / "model", "-n", 10, "--label", "B=50", "-o", tmp_path / "b.h5ad")
    ours = ACTIVA.from_export(shared / "model").generate(100, labels={"B": 50}, seed=0)
    assert told["types"] == ours.obs["cell_type"].value_counts().to_dict()
    told = json.loads(run("generate", shared / "model", "-n", 100, "-o", tmp_path / "c.h5ad").stdout)
    assert told["cells"] == 100 and told["types"]["B"] == pytest.approx(100 * sizes["B"] / 240, abs=1)


@pytest.mark.parametrize("form", ["tsv", "json"])
def test_evaluate_prints_the_librarys_table(shared, form):
    asked = [
        "--labels-key",
        "cell_type",
        "--metrics",
        "mmd,copy_ratio",
        "--train",
        shared / "train.h5ad",
        "--format",
        form,
    ]
    out = run("evaluate", shared / "real.h5ad", shared / "real.zarr", *asked).stdout
    table = pd.read_csv(StringIO(out), sep="\t") if form == "tsv" else pd.DataFrame(json.loads(out))
    assert list(table["metric"]) == ["mmd", "copy_ratio"]
    assert np.isfinite(table[["value", "floor"]].to_numpy(dtype=float)).all()


def test_several_generators_are_told_apart_and_judged(shared, tmp_path):
    made, copies = tmp_path / "made.h5ad", tmp_path / "train.h5ad"
    cells = make_counts(100, seed=2)
    cells[cells.obs["cell_type"] != "NK"].copy().write_h5ad(made)
    shutil.copy(shared / "train.h5ad", copies)
    asked = ["--labels-key", "cell_type", "--metrics", "rf_auc,mmd"]
    done = run("evaluate", shared / "real.h5ad", made, copies, *asked)
    table = pd.read_csv(StringIO(done.stdout), sep="\t")
    # a stem that names another set is no name
    assert table[["generator", "metric"]].to_numpy().tolist() == [
        [name, metric] for name in ("made", "train.h5ad") for metric in ("rf_auc", "mmd")
    ]
    lines = [line for line in done.stderr.splitlines() if line.startswith(("activa: ", "made: ", "train.h5ad: ", "- "))]
    assert lines[0] == "activa: made: Types of real cells without synthetic cells: NK."
    assert {line.split(":")[0] for line in lines if not line.startswith(("activa", "-"))} == {"made", "train.h5ad"}
    assert "different names" in refused("evaluate", shared / "real.h5ad", made, tmp_path / "other" / "made.h5ad")


def test_the_table_is_printed_whatever_happens_to_the_page(shared, tmp_path, monkeypatch):
    def fails(*sets, **given):
        raise OSError("the disk is full")

    monkeypatch.setattr("activa.cli.comparing.report", fails)
    arguments = ["evaluate", shared / "real.h5ad", shared / "train.h5ad", "--report", tmp_path / "page.html"]
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code != 0
    assert "rf_auc" in set(pd.read_csv(StringIO(result.stdout), sep="\t")["metric"])
    assert "--batch-key 'nonsense'" in refused(*arguments, "--batch-key", "nonsense")
    assert "at most 6" in refused(*arguments, *[tmp_path / f"{i}.h5ad" for i in range(6)])
    assert "give --report" in refused(*arguments[:3], "--batch-key", "batch")


def test_input_that_is_refused(shared, tmp_path):
    train, model, out = shared / "train.h5ad", shared / "model", tmp_path / "out.h5ad"
    assert "does not exist" in refused("fit", tmp_path / "no.h5ad", "-o", tmp_path / "m")
    assert "must end with" in refused("fit", tmp_path / "no.csv", "-o", tmp_path / "m")
    assert "--labels-key='kind'" in refused("fit", train, "-o", tmp_path / "m", "--labels-key", "kind")
    (tmp_path / "broken.h5ad").write_bytes(b"no HDF5")
    assert "cannot be read" in refused("fit", tmp_path / "broken.h5ad", "-o", tmp_path / "m")
    assert "Mast" in refused("generate", model, "--label", "Mast=3", "-o", out)
    assert "TYPE=COUNT" in refused("generate", model, "--label", "B", "-o", out)
    assert "--labels-like" in refused("generate", model, "-o", out)
    assert "batch" in refused("generate", model, "-n", 3, "--batch", "three", "-o", out)
    assert "suffix" in refused("generate", model, "-n", 3, "-o", tmp_path / "out.h5mu")
    assert "sampler.json" in refused("info", tmp_path)
    assert "nonsense" in refused("evaluate", train, train, "--metrics", "nonsense")
    run("fit", train, code=2)
    run("fit", train, "-o", tmp_path / "m", "--max-epochs", 0, code=2)
    assert [p.name for p in tmp_path.iterdir()] == ["broken.h5ad"]


def test_an_output_is_replaced_only_when_asked(shared, tmp_path, monkeypatch):
    for name in ("out.h5ad", "out.zarr"):
        arguments = ["generate", shared / "model", "-n", 5, "-o", tmp_path / name]
        run(*arguments)
        assert "--overwrite" in refused(*arguments)
        run(*arguments, "--overwrite")
    before = (shared / "model" / "sampler.json").read_bytes()
    monkeypatch.setattr(ACTIVA, "train", lambda *args, **kwargs: pytest.fail("work has started"))
    assert "--overwrite" in refused("fit", shared / "train.h5ad", "-o", shared / "model")
    assert "--overwrite" in refused("demo", "-o", shared)
    assert str(tmp_path) in refused("fit", shared / "train.h5ad", "-o", tmp_path, "--overwrite")
    assert (shared / "model" / "sampler.json").read_bytes() == before


def test_an_error_that_was_not_foreseen_is_not_hidden(shared, tmp_path, monkeypatch):
    monkeypatch.setattr(ad.AnnData, "write", lambda self, path: int("no number"))
    result = CliRunner().invoke(app, ["generate", str(shared / "model"), "-n", "5", "-o", str(tmp_path / "out.h5ad")])
    assert result.exit_code == 1 and isinstance(result.exception, ValueError)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_training_exports_nothing(shared, tmp_path, monkeypatch):
    from activa.train import IntrospectivePlan

    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(IntrospectivePlan, "on_train_epoch_start", interrupt)
    result = CliRunner().invoke(app, ["fit", str(shared / "train.h5ad"), "-o", str(tmp_path / "m")])
    assert result.exit_code == 130 and result.stdout == "" and "activa: interrupted" in result.stderr
    assert not list(tmp_path.iterdir())


def test_without_typer_the_command_says_what_to_install(monkeypatch, capsys):
    from activa import cli

    monkeypatch.setattr(cli, "is_installed", lambda name: False)
    with pytest.raises(SystemExit) as exit_code:
        cli.main()
    assert exit_code.value.code == 2 and "activa-sc[cli]" in capsys.readouterr().err


def test_three_commands_in_a_shell(shared, tmp_path):
    """As a pipeline runs them: in processes of their own."""
    command = [sys.executable, "-c", "from activa.cli import main; main()"]
    steps = [
        ["fit", str(shared / "train.h5ad"), "-o", "model", "--labels-key", "cell_type", "--max-epochs", "2"],
        ["generate", "model", "-n", "80", "--label", "B=40", "-o", "out.h5ad"],
        ["evaluate", str(shared / "real.h5ad"), "out.h5ad", "--labels-key", "cell_type", "--metrics", "mmd"],
    ]
    done = [
        subprocess.run([*command, *step], cwd=tmp_path, env=os.environ.copy(), capture_output=True, text=True)
        for step in steps
    ]
    assert [d.returncode for d in done] == [0, 0, 0], [d.stderr for d in done]
    assert json.loads(done[0].stdout)["genes"] == 40
    assert json.loads(done[1].stdout)["types"]["B"] == 40
    assert list(pd.read_csv(StringIO(done[2].stdout), sep="\t")["metric"]) == ["mmd"]


@pytest.mark.parametrize(
    "arguments, code",
    [(["--help"], 0), (["nonsense"], 2), (["info", "missing"], 2), (["fit", "no.h5ad", "-o", "m"], 2)],
)
def test_a_command_without_work_is_fast_and_imports_neither_torch_nor_scvi(arguments, code, tmp_path):
    script = f"""
import atexit, sys
from activa.cli import main
atexit.register(lambda: print("imported:", *({{"torch", "scvi"}} & set(sys.modules))))
sys.argv = ["activa", *{arguments!r}]
main()
"""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
        seconds.append(time.perf_counter() - start)
        assert done.returncode == code and done.stdout.splitlines()[-1].split() == ["imported:"], done
    assert min(seconds) < 2, seconds


def test_a_report_comes_with_the_table_and_is_of_its_evaluation(shared, tmp_path, monkeypatch):
    monkeypatch.setattr("activa.reporting.html_report.evaluate_sets", lambda *sets, **given: pytest.fail("done again"))
    page, sets = tmp_path / "report.html", [shared / "real.h5ad", shared / "real.zarr"]
    arguments = ["evaluate", *sets, "--labels-key", "cell_type", "--report", page]
    assert "leave --metrics or --report out" in refused(*arguments, "--metrics", "mmd")
    table = pd.read_csv(StringIO(run(*arguments).stdout), sep="\t")
    assert {"rf_auc", "mmd"} <= set(table["metric"])
    assert "real.zarr" in page.read_text()
    before = page.read_bytes()
    assert "--overwrite" in refused(*arguments)
    assert page.read_bytes() == before
