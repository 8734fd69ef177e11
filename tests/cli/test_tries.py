"""Mistakes on the command line: each ends with code 2, one line in the shell's words, nothing on stdout, and no file."""

from __future__ import annotations

import gzip
import re
import shlex
import shutil

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from tests_helpers import make_counts, make_model

pytest.importorskip("typer")
from typer.testing import CliRunner

from activa.cli.app import app

LONG = "x" * 300

# Arguments, and what the line must say. The folder has the files that the fixture makes; "new" does not exist.
TRIES = [
    # usage
    ("", "Missing command"),
    ("nonsense", "'nonsense'"),
    ("Fit", "'Fit'"),
    ("--nonsense", "--nonsense"),
    ("-x", "-x"),
    ("fit", "'data'. See 'activa fit --help'"),
    ("fit train.h5ad", "'--output'"),
    ("fit -o new", "'data'"),
    ("fit train.h5ad -o", "'-o'"),
    ("fit train.h5ad real.h5ad -o new", "real.h5ad"),
    ("fit train.h5ad -o new --epochs 3", "--epochs"),
    ("fit train.h5ad -o new --max-epochs", "'--max-epochs'"),
    ("fit train.h5ad -o new --max-epochs 0", "'--max-epochs'"),
    ("fit train.h5ad -o new --max-epochs -1", "'--max-epochs'"),
    ("fit train.h5ad -o new --max-epochs 2.5", "'--max-epochs'"),
    ("fit train.h5ad -o new --max-epochs many", "'--max-epochs'"),
    ("fit train.h5ad -o new --seed -1", "'--seed'"),
    ("fit train.h5ad -o new --seed 4294967296", "'--seed'"),
    ("fit train.h5ad -o new --seed none", "'--seed'"),
    ("fit train.h5ad -o new --seed 0.5", "'--seed'"),
    ("fit train.h5ad -o new --likelihood zinb", "'--likelihood'"),
    ("fit train.h5ad -o new --likelihood ''", "'--likelihood'"),
    ("fit train.h5ad -o new --raw yes", "yes"),
    ("fit train.h5ad -o new --overwrite=1", "--overwrite"),
    ("generate", "'model'"),
    ("generate model", "'--output'"),
    ("generate model -o new.h5ad -n 0", "'-n'"),
    ("generate model -o new.h5ad -n -5", "'-n'"),
    ("generate model -o new.h5ad -n 1.5", "'-n'"),
    ("generate model -o new.h5ad -n 1e3", "'-n'"),
    ("generate model -o new.h5ad -n ten", "'-n'"),
    ("generate model -o new.h5ad -n ''", "'-n'"),
    ("generate model -o new.h5ad -n 5 --seed -3", "'--seed'"),
    ("generate model -o new.h5ad -n 5 --library-size deep", "'--library-size'"),
    ("generate model -o new.h5ad -n 5 --min-confidence high", "'--min-confidence'"),
    ("generate model -o new.h5ad -n 5 --n 5", "--n"),
    ("evaluate", "'real'"),
    ("evaluate real.h5ad", "'synthetic'"),
    ("evaluate real.h5ad made.h5ad --format csv", "'--format'"),
    ("evaluate real.h5ad made.h5ad --seed x", "'--seed'"),
    ("evaluate real.h5ad made.h5ad --labels", "--labels"),
    ("info", "'model'"),
    ("info model model", "model"),
    ("demo extra", "extra"),
    ("demo --seed 4294967296", "'--seed'"),
    ("demo -o new --seed 99999999999999999999999", "'--seed'"),
    ("demo -o new --format html", "'--format'"),
    ("split", "'data'"),
    ("split train.h5ad", "--train"),
    ("split train.h5ad --train a.h5ad", "--held-out"),
    ("split train.h5ad --train a.h5ad --held-out b.h5ad --held-out-share half", "'--held-out-share'"),
    # paths that are read
    ("fit absent.h5ad -o new", "does not exist"),
    ("fit absent.zarr -o new", "does not exist"),
    ("fit train.csv -o new", "must end with .h5ad or .zarr"),
    ("fit train -o new", "must end with"),
    ("fit '' -o new", "must end with"),
    ("fit . -o new", "must end with"),
    ("fit train.h5ad.gz -o new", "gunzip train.h5ad.gz"),
    ("fit absent.h5ad.gz -o new", "gunzip"),
    ("fit train.H5AD -o new", "must end with"),
    ("fit text.h5ad -o new", "cannot be read as .h5ad"),
    ("fit empty.h5ad -o new", "cannot be read"),
    ("fit cut.h5ad -o new", "cannot be read"),
    ("fit folder.h5ad -o new", "cannot be read"),
    ("fit folder.zarr -o new", "cannot be read as .zarr"),
    ("fit text.zarr -o new", "cannot be read"),
    (f"fit {LONG}.h5ad -o new", "File name too long"),
    (f"info {LONG}", "File name too long"),
    ("info absent", "'absent' does not exist: give a folder that 'activa fit' wrote"),
    ("info train.h5ad", "is a file, not a model"),
    ("info folder", "sampler.json"),
    ("info ''", "sampler.json"),
    ("info folder.zarr", "sampler.json"),
    ("info real.zarr", "sampler.json"),
    ("info damaged", "sampler.json"),
    ("generate absent -n 5 -o new.h5ad", "does not exist"),
    ("generate train.h5ad -n 5 -o new.h5ad", "is a file, not a model"),
    ("generate folder -n 5 -o new.h5ad", "sampler.json"),
    ("generate damaged -n 5 -o new.h5ad", "damaged"),
    ("evaluate absent.h5ad made.h5ad", "'absent.h5ad' does not exist"),
    ("evaluate real.h5ad absent.h5ad", "'absent.h5ad' does not exist"),
    ("evaluate real.h5ad made.h5ad absent.h5ad", "'absent.h5ad' does not exist"),
    ("evaluate real.h5ad made.h5ad --train absent.h5ad", "'absent.h5ad' does not exist"),
    ("evaluate real.h5ad made.csv", "must end with"),
    ("evaluate real.h5ad train.h5ad.gz", "gunzip"),
    ("evaluate text.h5ad made.h5ad", "cannot be read"),
    ("evaluate real.h5ad text.h5ad", "cannot be read"),
    ("evaluate real.h5ad made.h5ad --train text.h5ad", "cannot be read"),
    ("split absent.h5ad --train a.h5ad --held-out b.h5ad", "does not exist"),
    ("split text.h5ad --train a.h5ad --held-out b.h5ad", "cannot be read"),
    ("split train.h5ad.gz --train a.h5ad --held-out b.h5ad", "gunzip"),
    ("generate model --labels-like absent.h5ad -o new.h5ad", "does not exist"),
    ("generate model --labels-like text.h5ad -o new.h5ad", "cannot be read"),
    ("generate model --labels-like folder.zarr -o new.h5ad", "cannot be read"),
    ("generate model --labels-like held_out.csv -o new.h5ad", "must end with"),
    ("generate model -n 5 --augment absent.h5ad -o new.h5ad", "does not exist"),
    ("generate model -n 5 --augment text.h5ad -o new.h5ad", "cannot be read"),
    # paths that are written
    ("fit train.h5ad -o model", "give --overwrite"),
    ("fit train.h5ad -o folder", "give --overwrite"),
    ("fit train.h5ad -o folder --overwrite", "holds no sampler"),
    ("fit train.h5ad -o real.h5ad", "exists"),
    ("fit train.h5ad -o real.h5ad --overwrite", "holds no sampler"),
    ("fit train.h5ad -o .", "exists"),
    ("fit train.h5ad -o absent/new", "no sampler can be made in the folder"),
    ("fit train.h5ad -o real.h5ad/new", "NotADirectory"),
    ("fit train.h5ad -o /proc/new", "'/proc'"),
    (f"fit train.h5ad -o {LONG}", "File name too long"),
    (f"fit train.h5ad -o {'y' * 250}", "name too long"),
    ("generate model -n 5 -o real.h5ad", "give --overwrite"),
    ("generate model -n 5 -o real.zarr", "give --overwrite"),
    ("generate model -n 5 -o folder.zarr --overwrite", "holds no .zarr output"),
    ("generate model -n 5 -o folder.h5ad --overwrite", "holds no .h5ad output"),
    ("generate model -n 5 -o absent/new.h5ad", "absent"),
    ("generate model -n 5 -o /proc/new.h5ad", "'/proc'"),
    ("generate model -n 5 -o /proc/new.zarr", "'/proc'"),
    (f"generate model -n 5 -o {LONG}.h5ad", "File name too long"),
    ("generate model -n 5 -o new", "must end with .h5ad or .zarr or .h5mu"),
    ("generate model -n 5 -o new.csv", "must end with"),
    ("generate model -n 5 -o new.h5mu", "suffix"),
    ("generate model -n 5 -o ''", "must end with"),
    ("demo -o folder", "give --overwrite"),
    ("demo -o folder --overwrite", "holds no demo"),
    ("demo -o absent/new", "absent"),
    (f"demo -o {LONG}", "File name too long"),
    ("evaluate real.h5ad made.h5ad --report page.pdf", "must end with .html"),
    ("evaluate real.h5ad made.h5ad --report page", "must end with .html"),
    ("evaluate real.h5ad made.h5ad --report absent/page.html", "absent"),
    ("evaluate real.h5ad made.h5ad --report /proc/page.html", "'/proc'"),
    ("evaluate real.h5ad made.h5ad --report page.html", "give --overwrite"),
    (f"evaluate real.h5ad made.h5ad --report {LONG}.html", "File name too long"),
    ("split train.h5ad --train real.h5ad --held-out b.h5ad", "give --overwrite"),
    ("split train.h5ad --train a.h5ad --held-out real.h5ad", "give --overwrite"),
    ("split train.h5ad --train a.h5ad --held-out absent/b.h5ad", "absent"),
    ("split train.h5ad --train a.h5ad --held-out a.h5ad", "three different files"),
    ("split train.h5ad --train train.h5ad --held-out b.h5ad --overwrite", "three different files"),
    ("split train.h5ad --train ./train.h5ad --held-out b.h5ad --overwrite", "three different files"),
    ("split train.h5ad --train a.zarr --held-out b.h5ad", "must end with .h5ad"),
    # what is in the files
    ("fit train.h5ad -o new --labels-key kind", "--labels-key='kind' is not a column of obs, which has ['cell_type'"),
    ("fit train.h5ad -o new --labels-key ''", "--labels-key=''"),
    ("fit train.h5ad -o new --batch-key donor", "--batch-key='donor'"),
    ("fit train.h5ad -o new --layer spliced", "--layer='spliced' is not in layers, which has ['counts']"),
    ("fit train.h5ad -o new --layer ''", "--layer=''"),
    ("fit train.h5ad -o new --raw", "has no raw"),
    ("fit train.h5ad -o new --raw --layer counts", "give one"),
    ("fit train.h5ad -o new --categorical-covariate organ", "--categorical-covariate='organ'"),
    ("fit train.h5ad -o new --continuous-covariate bmi", "--continuous-covariate='bmi'"),
    ("fit train.h5ad -o new --continuous-covariate sex", "--continuous-covariate='sex'"),
    ("fit train.h5ad -o new --categorical-covariate sex --categorical-covariate sex", "once"),
    ("fit train.h5ad -o new --unlabeled-category unknown", "needs --labels-key"),
    ("fit train.h5ad -o new --device gpu", "--device='gpu' must be auto, cpu, mps, cuda"),
    ("fit train.h5ad -o new --device cuda:x", "--device='cuda:x'"),
    ("fit train.h5ad -o new --device cuda:99", "PyTorch finds"),
    ("fit log.h5ad -o new --labels-key cell_type", "give counts as --layer, or use --likelihood='normal'"),
    ("fit log_and_layer.h5ad -o new", "layers['counts'] has counts, give --layer='counts'"),
    ("fit log_and_raw.h5ad -o new", "raw has counts, give --raw"),
    ("fit duplicate_genes.h5ad -o new", "unique"),
    ("fit real.h5ad -o new --labels-key depth", "--labels-key='depth' has 48 types for 60 cells"),
    ("fit real.h5ad -o new --categorical-covariate age --continuous-covariate age", "a column has one role"),
    ("fit real.h5ad -o new --labels-key batch --batch-key batch", "one role"),
    ("fit scaled.h5ad -o new", "negative values"),
    ("fit nan.h5ad -o new", "not finite"),
    ("fit no_cells.h5ad -o new", "0 cells"),
    ("fit empty_cell.h5ad -o new", "without any counts"),
    ("fit no_x.h5ad -o new", "give --layer for the layer of raw counts"),
    ("fit missing_labels.h5ad -o new --labels-key cell_type", "--unlabeled-category"),
    ("generate model -o new.h5ad", "-n, --label TYPE=COUNT or --labels-like"),
    ("generate model --label B -o new.h5ad", "TYPE=COUNT"),
    ("generate model --label =5 -o new.h5ad", "TYPE=COUNT"),
    ("generate model --label B= -o new.h5ad", "TYPE=COUNT"),
    ("generate model --label B=-5 -o new.h5ad", "TYPE=COUNT"),
    ("generate model --label B=5.5 -o new.h5ad", "TYPE=COUNT"),
    ("generate model --label B=\u0665 -o new.h5ad", "TYPE=COUNT"),
    ("generate model --label B=5 --label B=6 -o new.h5ad", "twice"),
    ("generate model --label B=0 -o new.h5ad", "no cell"),
    ("generate model --label Mast=5 -o new.h5ad", "['Mast'] did not occur in training, which had ['B', 'NK', 'T']"),
    ("generate model --label b=5 -o new.h5ad", "'b'"),
    ("generate model -n 10 --label B=50 -o new.h5ad", "-n=10 cells in all, but --label requests 50"),
    ("generate model --label B=99999999999999999999999 -o new.h5ad", "at most"),
    ("generate model -n 99999999999999 -o new.h5ad", "-n"),
    ("generate model -n 5 --batch three -o new.h5ad", "--batch: ['three']"),
    ("generate model -n 5 --batch '' -o new.h5ad", "--batch"),
    ("generate plain -n 5 --batch one -o new.h5ad", "--batch='one' was given"),
    ("generate model -n 5 --library-size 0 -o new.h5ad", "--library-size=0 must"),
    ("generate model -n 5 --library-size -3 -o new.h5ad", "--library-size=-3 must"),
    ("generate model -n 5 --library-size nan -o new.h5ad", "--library-size=nan must"),
    ("generate model -n 5 --library-size inf -o new.h5ad", "--library-size=inf must"),
    ("generate model -n 5 --library-size 1e12 -o new.h5ad", "--library-size must be at most"),
    ("generate model -n 5 --min-confidence 1 -o new.h5ad", "--min-confidence must"),
    ("generate model -n 5 --min-confidence -1 -o new.h5ad", "--min-confidence must"),
    ("generate model -n 5 --min-confidence nan -o new.h5ad", "--min-confidence must"),
    ("generate model -n 5 --covariate age -o new.h5ad", "NAME=VALUE"),
    ("generate model -n 5 --covariate =5 -o new.h5ad", "NAME=VALUE"),
    ("generate model -n 5 --covariate sex=f --covariate sex=m -o new.h5ad", "twice"),
    ("generate model -n 5 --covariate organ=liver -o new.h5ad", "'organ' was not registered"),
    ("generate model -n 5 --covariate sex=x -o new.h5ad", "did not occur"),
    ("generate model -n 5 --covariate age=old -o new.h5ad", "--covariate['age'] must be finite numbers"),
    ("generate model -n 5 --covariate age=inf -o new.h5ad", "age"),
    ("generate model -n 5 --device tpu -o new.h5ad", "--device='tpu'"),
    ("generate model -n 5 --device cuda:99 -o new.h5ad", "PyTorch finds"),
    ("generate model -n 5 --labels-key batch -o new.h5ad", "--labels-key='batch'"),
    ("generate model --labels-like real.h5ad --label B=5 -o new.h5ad", "give one of them"),
    ("generate model --labels-like real.h5ad --labels-key kind -o new.h5ad", "has no column 'kind'"),
    ("generate model --labels-like other_types.h5ad -o new.h5ad", "did not occur in training"),
    ("generate model --labels-like missing_labels.h5ad -o new.h5ad", "missing for"),
    ("generate plain --labels-like real.h5ad -o new.h5ad", "trained without"),
    ("generate model -n 5 --raw -o new.h5ad", "give --augment"),
    ("generate model -n 5 --augment train.h5ad -o new.zarr", "must end with .h5ad"),
    ("generate model -n 5 --augment train.h5ad --raw -o new.h5ad", "has no raw"),
    ("generate model -n 5 --augment fewer_genes.h5ad -o new.h5ad", "not among them"),
    ("generate model -n 5 --augment log.h5ad -o new.h5ad", "not whole"),
    ("generate model -n 5 --augment origin.h5ad -o new.h5ad", "'origin'"),
    ("generate model -n 5 --augment no_labels.h5ad -o new.h5ad", "'cell_type' is not in"),
    ("evaluate real.h5ad made.h5ad --labels-key kind", "--labels-key 'kind'"),
    ("evaluate real.h5ad no_labels.h5ad --labels-key cell_type", "not in no_labels.obs"),
    ("evaluate real.h5ad missing_labels.h5ad --labels-key cell_type", "missing for"),
    ("evaluate real.h5ad made.h5ad --layer counts", "layers"),
    ("evaluate real.h5ad made.h5ad --layer counts --raw", "give one"),
    ("evaluate real.h5ad made.h5ad --raw", "has no raw"),
    ("evaluate real.h5ad made.h5ad --normalized", "--normalized"),
    ("evaluate real.h5ad log.h5ad", "--normalized"),
    ("evaluate log.h5ad made.h5ad", "give --layer, or --raw, where the counts are"),
    ("evaluate real.h5ad nan.h5ad", "not finite"),
    ("evaluate real.h5ad scaled.h5ad", "negative"),
    ("evaluate real.h5ad fewer_genes.h5ad", "genes of real"),
    ("evaluate real.h5ad duplicate_genes.h5ad", "unique"),
    ("evaluate real.h5ad no_cells.h5ad", "no cells"),
    ("evaluate real.h5ad few.h5ad", "5 cells"),
    ("evaluate real.h5ad made.h5ad --metrics nonsense", "nonsense"),
    ("evaluate real.h5ad made.h5ad --metrics ''", "unknown metrics"),
    ("evaluate real.h5ad made.h5ad --metrics mmd,,", "unknown metrics"),
    ("evaluate real.h5ad made.h5ad --metrics copy_ratio", "needs --train"),
    ("evaluate real.h5ad made.h5ad --metrics label_fidelity", "needs --labels-key"),
    ("evaluate real.h5ad made.h5ad --metrics mmd --report new.html", "leave --metrics or --report out"),
    ("evaluate real.h5ad made.h5ad --batch-key batch", "give --report"),
    ("evaluate real.h5ad made.h5ad --report new.html --batch-key donor", "--batch-key 'donor'"),
    ("evaluate real.h5ad made.h5ad ./made.h5ad", "different names"),
    ("evaluate real.h5ad 1.h5ad 2.h5ad 3.h5ad 4.h5ad 5.h5ad 6.h5ad 7.h5ad --report new.html", "at most 6"),
    ("split train.h5ad --train a.h5ad --held-out b.h5ad --labels-key kind", "--labels-key='kind'"),
    ("split train.h5ad --train a.h5ad --held-out b.h5ad --held-out-share 0", "between 0 and 1"),
    ("split train.h5ad --train a.h5ad --held-out b.h5ad --held-out-share 1", "between 0 and 1"),
    ("split train.h5ad --train a.h5ad --held-out b.h5ad --held-out-share nan", "between 0 and 1"),
    ("split train.h5ad --train a.h5ad --held-out b.h5ad --held-out-share 30%", "'--held-out-share'"),
    ("split no_cells.h5ad --train a.h5ad --held-out b.h5ad", "nothing can be held out"),
]  # fmt: skip

# Words that only Python has.
PYTHON = re.compile(
    r"setup_anndata|adata\b|model\.|(?<![-\w])(path|overwrite|layer|n|labels|labels_key|batch_key|normalized|batch|seed|"
    r"gene_likelihood|accelerator|devices|train)=|(?<!-)(unlabeled_category|covariate_keys|min_confidence|library_size)\b"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Cells, models, and files of every wrong kind."""
    folder = tmp_path_factory.mktemp("tries")
    train, real = make_counts(120), make_counts(60, seed=1)
    model = make_model(
        train.copy(),
        epochs=1,
        setup={
            "labels_key": "cell_type",
            "batch_key": "batch",
            "categorical_covariate_keys": ["sex"],
            "continuous_covariate_keys": ["age"],
        },
    )
    model.export(folder / "model")
    make_model(train.copy(), epochs=1, setup={}).export(folder / "plain")
    shutil.copytree(folder / "model", folder / "damaged")
    (folder / "damaged" / "sampler.json").write_text("{")
    for name in ("folder", "folder.h5ad", "folder.zarr"):
        (folder / name).mkdir()
        (folder / name / "mine.txt").touch()
    for name in ("text.h5ad", "text.zarr", "page.html"):
        (folder / name).write_text("no cells")
    (folder / "empty.h5ad").touch()
    cells = dict.fromkeys(
        ("log", "scaled", "nan", "empty_cell", "no_labels", "other_types", "missing_labels", "origin")
    )
    cells = {name: real.copy() for name in cells}
    cells["log"].X = cells["log"].X.log1p()
    cells |= {name: cells["log"].copy() for name in ("log_and_layer", "log_and_raw")}
    cells["log_and_layer"].layers["counts"] = real.X.copy()
    cells["log_and_raw"].raw = real
    cells["scaled"].X = csr_matrix(cells["scaled"].X.toarray() - 1)
    cells["nan"].X.data[3] = np.nan
    cells["empty_cell"].X = csr_matrix(cells["empty_cell"].X.toarray() * (np.arange(60) > 0)[:, None])
    del cells["no_labels"].obs["cell_type"]
    cells["other_types"].obs["cell_type"] = "Mast"
    cells["missing_labels"].obs.loc["cell_3", "cell_type"] = np.nan
    cells["origin"].obs["origin"] = "real"
    cells |= {"real": real, "made": real.copy(), "fewer_genes": real[:, :30].copy(), "few": real[:5].copy()}
    cells |= {"no_cells": real[:0].copy(), "no_x": real.copy(), "duplicate_genes": real.copy()}
    cells["no_x"].X = None
    cells["few"].obs_names = [f"few_{i}" for i in range(5)]
    cells["duplicate_genes"].var_names = [f"gene_{max(i, 1)}" for i in range(40)]
    for name, made in cells.items():
        made.write_h5ad(folder / f"{name}.h5ad")
    train.layers["counts"] = train.X.copy()
    train.write_h5ad(folder / "train.h5ad")
    real.write_zarr(folder / "real.zarr")
    whole = (folder / "train.h5ad").read_bytes()
    (folder / "cut.h5ad").write_bytes(whole[: len(whole) // 2])
    (folder / "train.h5ad.gz").write_bytes(gzip.compress(whole))
    return folder


@pytest.mark.parametrize(("line", "words"), TRIES, ids=[line[:60] for line, _ in TRIES])
def test_a_mistake_is_told_in_one_line(folder, monkeypatch, line, words):
    monkeypatch.chdir(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    result = CliRunner().invoke(app, shlex.split(line))
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("activa: ") and len(lines[0]) < 700, result.stderr
    assert words in lines[0], lines[0]
    assert not PYTHON.search(lines[0]), lines[0]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_these_are_many_tries():
    assert len({line for line, _ in TRIES}) == len(TRIES) >= 150


@pytest.mark.parametrize("command", ["", "demo", "split", "fit", "generate", "evaluate", "info"])
def test_help_and_version_end_with_0(command):
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0 and "Usage" in result.stdout and result.stderr == ""
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0 and re.fullmatch(r"activa \d+\.\d+\S*\n", result.stdout) and result.stderr == ""
