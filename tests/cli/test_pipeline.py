"""What pipelines ask of the command line: a split, types as in a file, real and made cells in one file, logs, examples."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_helpers import make_counts, make_model

pytest.importorskip("typer")
from typer.testing import CliRunner

from activa import Sampler
from activa.cli.app import app

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMAND = [sys.executable, "-c", "from activa.cli import main; main()"]
SETUP = {
    "labels_key": "cell_type",
    "batch_key": "batch",
    "categorical_covariate_keys": ["sex"],
    "continuous_covariate_keys": ["age"],
}


def run(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    return result


@pytest.fixture(scope="module")
def model():
    """A model of the counts."""
    return make_model(make_counts(240), epochs=3, setup=SETUP)


@pytest.fixture(scope="module")
def shared(tmp_path_factory, model):
    """Cells with counts in raw and log values in X, and the export of the model."""
    folder = tmp_path_factory.mktemp("shared")
    counts = make_counts(240)
    counts.write_h5ad(folder / "counts.h5ad")
    logged = counts.copy()
    logged.raw = counts
    logged.X = logged.X.log1p()
    logged.write_h5ad(folder / "logged.h5ad")
    make_counts(90, seed=1).write_h5ad(folder / "real.h5ad")
    model.export(folder / "model")
    return folder


def split(data, folder, *more):
    paths = folder / "train.h5ad", folder / "held_out.h5ad"
    told = run("split", data, "--train", paths[0], "--held-out", paths[1], *more)
    return json.loads(told.stdout), *(ad.read_h5ad(path) for path in paths), told.stderr


def test_split_parts_the_cells_of_each_type(shared, tmp_path):
    whole = ad.read_h5ad(shared / "logged.h5ad")
    told, train, held_out, notes = split(shared / "logged.h5ad", tmp_path, "--labels-key", "cell_type", "--seed", 3)
    assert sorted([*train.obs_names, *held_out.obs_names]) == sorted(whole.obs_names)
    for part in (train, held_out):
        assert (part.X != whole[part.obs_names].X).nnz == 0
        assert (part.raw.X != whole[part.obs_names].raw.X).nnz == 0
    for name, n in whole.obs["cell_type"].value_counts().items():
        assert (held_out.obs["cell_type"] == name).sum() == round(0.3 * n) == told["types"][name]["held_out"]
    assert told["cells"] == {"train": train.n_obs, "held_out": held_out.n_obs} and notes == ""
    again, other = (tmp_path / name for name in ("again", "other"))
    again.mkdir(), other.mkdir()
    same = split(shared / "logged.h5ad", again, "--labels-key", "cell_type", "--seed", 3)[2]
    assert list(same.obs_names) == list(held_out.obs_names)
    without = split(shared / "logged.h5ad", other, "--held-out-share", 0.5)[2]
    assert without.n_obs == 120 and set(without.obs_names) != set(held_out.obs_names)


def test_split_keeps_a_single_cell_for_training_and_two_for_both(tmp_path):
    cells = make_counts(30)
    cells.obs["cell_type"] = ["one", "two", "two", *["many"] * 27]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    _, train, held_out, notes = split(
        tmp_path / "cells.h5ad", tmp_path, "--labels-key", "cell_type", "--held-out-share", 0.1
    )
    assert train.obs["cell_type"].value_counts().to_dict() == {"many": 24, "one": 1, "two": 1}
    assert held_out.obs["cell_type"].value_counts().to_dict() == {"many": 3, "two": 1}
    assert notes == "activa: Types of one cell, which is in the training cells: one.\n"


def test_a_split_is_written_whole_or_not_at_all(shared, tmp_path, monkeypatch):
    write, done = ad.AnnData.write_h5ad, []

    def fails_the_second_time(cells, path, **how):
        if done:
            raise OSError(28, "No space left on device")
        done.append(path)
        write(cells, path, **how)

    monkeypatch.setattr(ad.AnnData, "write_h5ad", fails_the_second_time)
    result = CliRunner().invoke(
        app,
        [
            "split",
            str(shared / "real.h5ad"),
            "--train",
            str(tmp_path / "a.h5ad"),
            "--held-out",
            str(tmp_path / "b.h5ad"),
        ],
    )
    assert result.exit_code == 2 and "No space left" in result.stderr and done
    assert not list(tmp_path.iterdir())


def test_types_are_as_in_a_file(shared, tmp_path):
    asked = ["generate", shared / "model", "--labels-like", shared / "real.h5ad"]
    expected = ad.read_h5ad(shared / "real.h5ad").obs["cell_type"].value_counts()
    assert json.loads(run(*asked, "-o", tmp_path / "a.h5ad").stdout)["types"] == expected.to_dict()
    told = json.loads(run(*asked, "-o", tmp_path / "b.zarr", "-n", 1000).stdout)
    assert told["cells"] == 1000
    for name, n in told["types"].items():
        assert abs(n - 1000 * expected[name] / 90) < 1
    ad.read_h5ad(shared / "real.h5ad").write_zarr(tmp_path / "real.zarr")
    told = json.loads(run(*asked[:3], tmp_path / "real.zarr", "-o", tmp_path / "c.h5ad").stdout)
    assert told["types"] == expected.to_dict()


def test_real_and_made_cells_in_one_file_are_what_augment_gives(shared, model, tmp_path):
    counts = ad.read_h5ad(shared / "counts.h5ad")
    shuffled = counts[:, np.random.default_rng(0).permutation(counts.n_vars)].copy()
    shuffled.write_h5ad(tmp_path / "shuffled.h5ad")
    asked = ["generate", shared / "model", "--label", "B=30", "--seed", 5, "-o", tmp_path / "both.h5ad", "--overwrite"]
    expected = model.augment(labels={"B": 30}, seed=5)
    for more in (["counts.h5ad"], ["logged.h5ad", "--raw"], [tmp_path / "shuffled.h5ad"]):
        told = json.loads(run(*asked, "--augment", shared / more[0], *more[1:]).stdout)
        assert told["cells"] == 30 and told["real_cells"] == 240
        both = ad.read_h5ad(tmp_path / "both.h5ad")
        assert both.obs["origin"].value_counts().to_dict() == {"real": 240, "synthetic": 30}
        assert (both.X != expected.X).nnz == 0 and list(both.var_names) == list(expected.var_names)
        pd.testing.assert_frame_equal(both.obs[expected.obs.columns], expected.obs, check_categorical=False)


def test_depth_covariates_and_confidence_are_the_librarys(shared, tmp_path):
    asked = ["--library-size", 300, "--covariate", "sex=f", "--covariate", "age=33", "--batch", "one"]
    asked += ["--label", "T=60", "--min-confidence", 0.3, "--device", "cpu", "--labels-key", "kind"]
    run("generate", shared / "model", "-o", tmp_path / "a.h5ad", *asked)
    cells = ad.read_h5ad(tmp_path / "a.h5ad")
    known = {"batch": "one", "library_size": 300, "covariates": {"sex": "f", "age": 33.0}}
    expected = Sampler.load(shared / "model").generate(labels={"T": 60}, min_confidence=0.3, seed=0, **known)
    assert (cells.X != expected.X).nnz == 0
    assert set(cells.obs["sex"]) == {"f"} and set(cells.obs["age"]) == {33} and set(cells.obs["kind"]) == {"T"}


def test_fit_takes_raw_covariates_and_unlabeled_cells(shared, tmp_path):
    options = ["--labels-key", "cell_type", "--unlabeled-category", "NK", "--batch-key", "batch", "--max-epochs", 1]
    options += [
        "--categorical-covariate",
        "sex",
        "--continuous-covariate",
        "age",
        "--device",
        "cpu",
        "--likelihood",
        "nb",
    ]
    first = run("fit", shared / "counts.h5ad", "-o", tmp_path / "a", *options).stdout
    second = run("fit", shared / "logged.h5ad", "--raw", "-o", tmp_path / "b", *options).stdout
    told = json.loads(first)
    assert told | {"path": ""} == json.loads(second) | {"path": ""}
    assert set(told["types"]) == {"B", "T"} and told["covariates"] == ["sex", "age"]
    assert told["settings"]["gene_likelihood"] == "nb"
    a, b = (Sampler.load(tmp_path / name).generate(40, seed=0).X for name in "ab")
    assert (a != b).nnz == 0
    table = run("evaluate", shared / "real.h5ad", shared / "counts.h5ad", "--metrics", "mmd").stdout
    run("fit", shared / "logged.h5ad", "-o", tmp_path / "c", "--likelihood", "normal", "--max-epochs", 1)
    real = ad.read_h5ad(shared / "real.h5ad")
    real.raw = real.copy()
    real.X = real.X.log1p()
    real.write_h5ad(tmp_path / "real.h5ad")
    assert run("evaluate", tmp_path / "real.h5ad", shared / "counts.h5ad", "--metrics", "mmd", "--raw").stdout == table


def test_evaluate_tells_that_no_type_is_in_both_sets(shared, tmp_path):
    cells = make_counts(90, seed=2)
    cells.obs["cell_type"] = "X" + cells.obs["cell_type"].astype(str)
    cells.write_h5ad(tmp_path / "other.h5ad")
    asked = ["--labels-key", "cell_type", "--metrics", "mmd"]
    notes = run("evaluate", shared / "real.h5ad", tmp_path / "other.h5ad", *asked).stderr.splitlines()
    assert "activa: No type of the synthetic cells is a type of the real ones: name types alike in both sets." in notes
    cells = make_counts(300, seed=3)
    rare = cells[(cells.obs["cell_type"] != "T") | (np.arange(300) < 40)].copy()
    rare.write_h5ad(tmp_path / "rare.h5ad")
    notes = run("evaluate", shared / "real.h5ad", tmp_path / "rare.h5ad", *asked).stderr
    assert "activa: Types are not in the real proportions" in notes


def test_a_log_has_lines_and_no_bars(shared, tmp_path):
    fit = [
        "fit",
        str(shared / "counts.h5ad"),
        "-o",
        "m",
        "--labels-key",
        "cell_type",
        "--max-epochs",
        "25",
        "--device",
        "cpu",
    ]
    evaluate = ["evaluate", str(shared / "real.h5ad"), str(shared / "counts.h5ad"), "--metrics", "mmd,rf_auc"]
    done = [
        subprocess.run([*COMMAND, *step], cwd=tmp_path, env=os.environ.copy(), capture_output=True, text=True)
        for step in (fit, evaluate)
    ]
    for each in done:
        assert each.returncode == 0 and "\r" not in each.stderr and "it/s" not in each.stderr, each.stderr
    lines = [line for line in done[0].stderr.splitlines() if "splits the cell types" not in line]
    assert lines[0] == "activa: 240 cells x 40 genes, 3 types, 25 epochs, on cpu"
    told = [re.fullmatch(r"activa: epoch (\d+) of 25, loss (\S+), (\d+) s", line) for line in lines[1:]]
    assert all(told) and [int(line[1]) for line in told] == [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]
    losses = [float(line[2]) for line in told]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


@pytest.mark.skipif(not EXAMPLES.exists(), reason="only in a checkout")
def test_the_commands_of_the_nextflow_example_are_commands(tmp_path, monkeypatch):
    """Nextflow itself is not in the package registries: what its script blocks call is tried, without work."""
    script = (EXAMPLES / "nextflow" / "main.nf").read_text()
    blocks = re.findall(r'script:\s+"""(.*?)"""', script, re.DOTALL)
    assert [block.split()[1] for block in blocks] == ["split", "fit", "generate", "evaluate"]
    assert script.count("{") == script.count("}")
    defined = set(re.findall(r"^params\.(\w+) =", script, re.MULTILINE)) | {"data", "labels_key"}
    assert set(re.findall(r"params\.(\w+)", script)) == defined
    called = []
    for block in blocks:
        name, *arguments = shlex.split(
            re.sub(r"\$\{params\.(\w+)\}", lambda found: "0.5" if "share" in found[1] else "1", block)
        )
        arguments = [
            re.sub(r"\$\{(\w+)\}", r"\1.h5ad", a)
            for a in arguments[: arguments.index(">") if ">" in arguments else None]
        ]
        assert name == "activa"
        # a missing file is refused after the options have been read
        monkeypatch.chdir(tmp_path)
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2 and "does not exist" in result.stderr, result.stderr
        called.append(arguments[0])
    assert set(re.findall(r"^    ([A-Z]+)\(", script, re.MULTILINE)) == {name.upper() for name in called}


@pytest.mark.skipif(not EXAMPLES.exists(), reason="only in a checkout")
@pytest.mark.skipif(shutil.which("snakemake") is None, reason="Snakemake is not installed")
def test_the_snakemake_example_runs(tmp_path):
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "activa").write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    (commands / "activa").chmod(0o755)
    cells = make_counts(120)
    cells.obs = cells.obs.rename(columns={"cell_type": "cell type"})
    cells.write_h5ad(tmp_path / "cells.h5ad")
    environment = os.environ | {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    settings = ["data=cells.h5ad", "labels_key=cell type", "fit_options=--max-epochs 2", "seed=1"]
    command = ["snakemake", "--snakefile", EXAMPLES / "snakemake" / "Snakefile", "--cores", "1", "--config", *settings]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    logs = {log.name: log.read_text() for log in (tmp_path / "results" / "logs").glob("*.log")}
    assert done.returncode == 0, (done.stderr, logs)
    assert "rf_auc" in set(pd.read_csv(tmp_path / "results" / "metrics.tsv", sep="\t")["metric"])
    assert "<html" in (tmp_path / "results" / "report.html").read_text()
    held_out, synthetic = (ad.read_h5ad(tmp_path / "results" / f"{name}.h5ad") for name in ("held_out", "synthetic"))
    assert held_out.obs["cell type"].value_counts().to_dict() == synthetic.obs["cell type"].value_counts().to_dict()
    again = subprocess.run([*command, "--dry-run"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "Nothing to be done" in again.stdout + again.stderr
