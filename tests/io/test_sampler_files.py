"""Samplers and models as files that are data: what is read is what was written, or it is refused; nothing is run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import random
import struct

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from mudata import MuData
from scipy.sparse import issparse
from tests_helpers import QUIET, make_counts, make_model

import activa
from activa import ACTIVA, Sampler
from activa.io.sampler_files import FORMAT_VERSION, MANIFEST, MODEL, WEIGHTS
from activa.train import Soft

mudata_warns = pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.drop:DeprecationWarning")
COVARIATES = {
    "labels_key": "cell_type", "batch_key": "batch", "categorical_covariate_keys": ["sex"],
    "continuous_covariate_keys": ["age"], "layer": "counts",
}  # fmt: skip


def with_layer() -> ad.AnnData:
    adata = make_counts()
    adata.layers["counts"] = adata.X.copy()
    return adata


def unlabeled() -> ad.AnnData:
    adata = make_counts()
    adata.obs["cell_type"] = adata.obs["cell_type"].cat.add_categories("Unknown")
    adata.obs.iloc[:30, adata.obs.columns.get_loc("cell_type")] = "Unknown"
    return adata


def numbered() -> ad.AnnData:
    adata = make_counts()
    adata.obs["batch"] = adata.obs["batch"].map({"one": 10, "two": 2}).astype(int)
    return adata


def paper() -> ACTIVA:
    adata = make_counts(120)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA.paper(adata)
    model.train(max_epochs=2, **QUIET)
    return model


def proteins(likelihood: str) -> ACTIVA:
    adata = make_counts()
    rng = np.random.default_rng(0)
    values = rng.poisson(20, size=(adata.n_obs, 6)).astype(np.float32) - 5.0 * (likelihood == "normal")
    names = pd.DataFrame({"isotype": "IgG"}, index=[f"protein_{i}" for i in range(6)])
    mdata = MuData({"rna": adata, "protein": ad.AnnData(values, obs=adata.obs[[]].copy(), var=names)})
    columns = ("labels_key", "batch_key", "size_factor_key")
    setup = {"labels_key": "cell_type", "batch_key": "batch", "size_factor_key": "depth"}
    ACTIVA.setup_mudata(mdata, modalities=dict.fromkeys(columns, "rna"), **setup)
    model = ACTIVA(mdata, n_hidden=(32,), n_latent=5)
    model.train(max_epochs=2, **QUIET)
    return model


MODELS = {
    "plain": lambda: make_model(epochs=2),
    "no labels": lambda: make_model(epochs=2, setup={}),
    "covariates": lambda: make_model(with_layer(), epochs=2, setup=COVARIATES),
    "size factor": lambda: make_model(epochs=2, setup={"labels_key": "cell_type", "size_factor_key": "depth"}),
    "unlabeled": lambda: make_model(
        unlabeled(), epochs=2, setup={"labels_key": "cell_type", "unlabeled_category": "Unknown"}
    ),
    "numbers for batches": lambda: make_model(numbered(), epochs=2, setup={"batch_key": "batch"}),
    "values": lambda: make_model(epochs=2, gene_likelihood="normal", architecture="deep"),
    "soft game": lambda: make_model(epochs=2, gene_likelihood="nb", game=Soft()),
    "paper": paper,
    "protein counts": lambda: proteins("nb"),
    "protein values": lambda: proteins("normal"),
}  # fmt: skip


def assert_same(a: ad.AnnData | MuData, b: ad.AnnData | MuData) -> None:
    if isinstance(a, MuData):
        assert list(a.mod) == list(b.mod)
        pd.testing.assert_frame_equal(a.obs, b.obs)
        for name in a.mod:
            assert_same(a[name], b[name])
        return
    assert issparse(a.X) == issparse(b.X) and a.X.dtype == b.X.dtype and list(a.layers) == list(b.layers)
    for x, y in [(a.X, b.X), *((a.layers[name], b.layers[name]) for name in a.layers)]:
        np.testing.assert_array_equal(*(v.toarray() if issparse(v) else v for v in (x, y)))
    pd.testing.assert_frame_equal(a.obs, b.obs)
    pd.testing.assert_frame_equal(a.var, b.var)


def digest(content: dict) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def change(folder, edit, *, sign: bool = True) -> None:
    """Edit the manifest, with a checksum that fits or the old one."""
    content = json.loads((folder / MANIFEST).read_text())
    edit(content)
    if sign:
        content.pop("sha256", None)
        content["sha256"] = digest(content)
    (folder / MANIFEST).write_text(json.dumps(content))


def put(folder, name: str, data: bytes) -> None:
    """Replace a file, with checksums that fit."""
    (folder / name).write_bytes(data)
    about = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    change(folder, lambda c: c["files"].update({name: about}))


def change_json(folder, name: str, edit) -> None:
    """Edit another JSON file, with checksums that fit."""
    content = json.loads((folder / name).read_text())
    edit(content)
    put(folder, name, json.dumps(content).encode())


@pytest.fixture(scope="module")
def model() -> ACTIVA:
    """A trained model; tests must leave it as it is."""
    return make_model(epochs=3, setup={"labels_key": "cell_type", "batch_key": "batch"})


@pytest.fixture
def folder(model, tmp_path):
    model.export(tmp_path / "model")
    return tmp_path / "model"


@mudata_warns
@pytest.mark.parametrize("kind", MODELS)
def test_the_same_cells_bit_for_bit(kind, tmp_path):
    model = MODELS[kind]()
    model.export(tmp_path / "model")
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == sorted([MANIFEST, MODEL, WEIGHTS, "tables.zarr"])
    assert list(tmp_path.iterdir()) == [tmp_path / "model"]
    read = ACTIVA.from_export(tmp_path / "model")
    asked = {"n": 300, "seed": 3}
    if not model.module.knows_types:  # hardly trained, the classifier calls all cells one type
        asked["z"] = np.random.default_rng(0).normal(size=(300, model.module.n_latent)).astype(np.float32)
    assert_same(read.generate(**asked), model.generate(**asked))
    assert_same(read.generate(**asked, expected=True), model.generate(**asked, expected=True))
    assert_same(Sampler.load(tmp_path / "model").generate(**asked), model.generate(**asked))
    assert list(read.types) == list(model.types)
    adata = model.adata["rna"] if isinstance(model.adata, MuData) else model.adata
    pd.testing.assert_frame_equal(read.predict(adata.copy(), soft=True), model.predict(soft=True))
    for name, tensor in model.module.state_dict().items():
        assert torch.equal(read.module.state_dict()[name], tensor), name
    assert read.init_params_ == model.init_params_ and read.training_defaults_ == model.training_defaults_
    trained, found = (dict(m.module.named_parameters()) for m in (model, read))
    assert {name: p.requires_grad for name, p in found.items()} == {
        name: p.requires_grad for name, p in trained.items()
    }
    # and once more
    read.export(tmp_path / "again")
    for name in (MANIFEST, WEIGHTS, MODEL):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_it_reads_other_cells_as_the_model_does(model, folder):
    other = make_counts(100, seed=5)
    read = ACTIVA.from_export(folder)
    np.testing.assert_array_equal(
        read.get_latent_representation(other.copy()), model.get_latent_representation(other.copy())
    )
    query = make_counts(60, seed=6)
    query.obs["batch"] = "three"
    both = ACTIVA.load_query_data(query, ACTIVA.from_export(folder))
    both.train(max_epochs=1, **QUIET)
    both.export(folder.parent / "both")
    twin = ACTIVA.from_export(folder.parent / "both")
    assert twin.reference_categories_ == both.reference_categories_ == (2, ())
    assert_same(twin.generate(50, batch="three", seed=0), both.generate(50, batch="three", seed=0))


def test_what_needs_the_cells_says_so(folder):
    read = ACTIVA.from_export(folder)
    assert read.adata is None and read.history is None and read.train_indices is None
    for needs_cells in (
        lambda: read.augment(5),
        lambda: read.train(),
        lambda: read.predict(),
        lambda: read.get_latent_representation(),
        lambda: read.get_elbo(),
        lambda: read.minify_adata(),
        lambda: read.get_normalized_expression(),
    ):
        with pytest.raises(ValueError, match="without data"):
            needs_cells()
    with pytest.raises(ValueError, match="genes"):
        read.predict(make_counts(20, n_genes=30))


def test_no_cell_travels(model, folder):
    for file in folder.rglob("*"):
        content = b"" if file.is_dir() else file.read_bytes()
        assert b"cell_7" not in content and model.run_name.encode() not in content
    assert (folder / WEIGHTS).stat().st_size < 200_000


def test_the_table_of_genes_comes_back(tmp_path):
    adata = make_counts()
    rng = np.random.default_rng(0)
    n = adata.n_vars
    flags, whole = rng.random(n) < 0.5, rng.integers(0, 9, size=n)
    adata.var = pd.DataFrame(
        {
            "text": [f"ENSG{i}" for i in range(n)],
            "objects": np.array(["a", None] * (n // 2), dtype=object),
            "strings": pd.array(["a", None] * (n // 2), dtype="string"),
            "float32": rng.normal(size=n).astype(np.float32),
            "float64": np.where(flags, np.nan, rng.normal(size=n) * 1e-300),
            "infinite": np.where(flags, np.inf, 1.0),
            "int8": whole.astype(np.int8),
            "flags": flags,
            "Int32": pd.array(np.where(flags, None, whole), dtype="Int32"),
            "boolean": pd.array(np.where(whole > 4, None, flags), dtype="boolean"),
            "categories": pd.Categorical(np.where(flags, "x", None), categories=["z", "x"]),
            "ordered": pd.Categorical(whole, categories=range(9), ordered=True),
        },
        index=pd.Index([f"gene_{i}" for i in range(n)], name="symbol"),
    )
    dated = adata.copy()
    dated.var["when"] = pd.Timestamp("2020-01-01")
    model = make_model(adata, epochs=1)
    model.export(tmp_path / "model")
    pd.testing.assert_frame_equal(ACTIVA.from_export(tmp_path / "model").var_, model.var_)
    dated = make_model(dated, epochs=1)
    with pytest.warns(UserWarning, match=r"columns \['when'\]"):
        dated.export(tmp_path / "dated")
    pd.testing.assert_frame_equal(ACTIVA.from_export(tmp_path / "dated").var_, model.var_)


def test_a_sampler_travels_without_the_model(model, tmp_path):
    model.sampler.save(tmp_path / "sampler")
    assert not (tmp_path / "sampler" / MODEL).exists()
    read = Sampler.load(tmp_path / "sampler")
    assert read.settings == model.settings and list(read.genes) == list(model.sampler.genes)
    assert_same(read.generate(50, seed=0), model.generate(50, seed=0))
    with pytest.raises(ValueError, match="sampler only"):
        ACTIVA.from_export(tmp_path / "sampler")


def test_random_state_is_left_alone(model, tmp_path):
    def state():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = state()
    model.export(tmp_path / "model")
    ACTIVA.from_export(tmp_path / "model")
    assert state() == before


def test_an_untrained_model_is_not_exported(counts, tmp_path):
    ACTIVA.setup_anndata(counts, labels_key="cell_type")
    with pytest.raises(RuntimeError):
        ACTIVA(counts).export(tmp_path / "model")
    assert not list(tmp_path.iterdir())


class TestWriting:
    def test_nothing_is_overwritten_unless_asked_for(self, model, folder):
        before = (folder / MANIFEST).read_bytes()
        with pytest.raises(FileExistsError, match="overwrite=True"):
            model.export(folder)
        other = make_model(epochs=1)
        other.export(str(folder), overwrite=True)
        assert (folder / MANIFEST).read_bytes() != before
        assert_same(ACTIVA.from_export(folder).generate(9, seed=0), other.generate(9, seed=0))
        (folder.parent / "thesis").mkdir()
        (folder.parent / "thesis" / "text").write_text("years of work")
        with pytest.raises(FileExistsError, match="sampler"):
            model.export(folder.parent / "thesis", overwrite=True)
        assert (folder.parent / "thesis" / "text").exists()

    @pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
    def test_half_a_write_leaves_what_was_there(self, model, folder, monkeypatch, error):
        def stop(*args, **kwargs):
            raise error

        before = (folder / MANIFEST).read_bytes()
        monkeypatch.setattr("activa.io.sampler_files.save_tensors", stop)
        for path in (folder, folder.parent / "new"):
            with pytest.raises(type(error) if isinstance(error, OSError) else error):
                model.export(path, overwrite=True)
        assert list(folder.parent.iterdir()) == [folder]
        assert (folder / MANIFEST).read_bytes() == before

    def test_a_folder_that_cannot_be_written_in(self, model, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        with pytest.raises(FileNotFoundError, match="sampler"):
            model.export(tmp_path / "absent" / "model")
        with pytest.raises(NotADirectoryError, match="sampler"):
            model.export(tmp_path / "file" / "model")
        monkeypatch.setattr("activa.io.atomic.os.access", lambda *args: False)  # root may write anywhere
        with pytest.raises(PermissionError, match="sampler"):
            model.export(tmp_path / "model")
        assert list(tmp_path.iterdir()) == [tmp_path / "file"]


class TestDamage:
    @pytest.mark.parametrize("name", [MANIFEST, WEIGHTS, MODEL, "tables.zarr/genes/zarr.json"])
    def test_a_file_that_is_not_there(self, folder, name):
        (folder / name).unlink()
        with pytest.raises(FileNotFoundError, match=name):
            ACTIVA.from_export(folder)

    def test_what_save_wrote_is_named(self, model, tmp_path):
        model.save(str(tmp_path / "saved"))
        with pytest.raises(FileNotFoundError, match="a pickle: if you trust it"):
            ACTIVA.from_export(tmp_path / "saved")

    @pytest.mark.parametrize("name", [MANIFEST, WEIGHTS, MODEL])
    def test_every_flipped_or_missing_byte_is_seen(self, folder, name):
        whole = (folder / name).read_bytes()
        rng = np.random.default_rng(0)
        seen = 0
        for at in rng.integers(len(whole), size=40):
            flipped = bytes([whole[at] ^ (1 << int(rng.integers(8)))])
            for damaged in (whole[:at] + flipped + whole[at + 1 :], whole[:at]):
                (folder / name).write_bytes(damaged)
                try:
                    json_is_same = name == MANIFEST and json.loads(damaged) == json.loads(whole)
                except ValueError:
                    json_is_same = False
                if json_is_same:  # a space between two values
                    continue
                with pytest.raises(ValueError, match="damaged|newer"):
                    ACTIVA.from_export(folder)
                seen += 1
        assert seen > 60

    def test_an_edit_is_seen(self, folder):
        change(folder, lambda c: c["types"].__setitem__(0, "TP53"), sign=False)
        with pytest.raises(ValueError, match="checksum"):
            ACTIVA.from_export(folder)

    def test_a_link_is_not_followed(self, folder):
        (folder / WEIGHTS).rename(folder.parent / WEIGHTS)
        (folder / WEIGHTS).symlink_to(folder.parent / WEIGHTS)
        with pytest.raises(ValueError, match="link"):
            ACTIVA.from_export(folder)

    def test_a_path_outside_is_not_read(self, folder):
        (folder.parent / "secret").write_text("secret")
        change(folder, lambda c: c["files"].update({"../secret": {"bytes": 6, "sha256": "0" * 64}}))
        with pytest.raises(FileNotFoundError, match="secret"):
            ACTIVA.from_export(folder)

    def test_a_newer_format_is_refused_and_an_older_activa_is_not(self, model, folder):
        change(folder, lambda c: c["written_by"].update({"activa-sc": "0.0.1"}))
        assert_same(ACTIVA.from_export(folder).generate(9, seed=0), model.generate(9, seed=0))
        change(folder, lambda c: c["settings"].pop("dropout_rate"))  # as if it had come later
        assert_same(ACTIVA.from_export(folder).generate(9, seed=0), model.generate(9, seed=0))
        change(folder, lambda c: c.update(format_version=FORMAT_VERSION + 1, weights="elsewhere"), sign=False)
        with pytest.raises(ValueError, match="newer than.*install"):
            ACTIVA.from_export(folder)

    def test_another_class_is_named(self, folder):
        class Other(ACTIVA):
            pass

        with pytest.raises(ValueError, match="'ACTIVA', not 'Other'"):
            Other.from_export(folder)


def _set(*path, value):
    def edit(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return edit


EDITS = [
    (_set("format", value="zip"), "format"),
    (_set("surprise", value=1), "surprise"),
    (_set("settings", value=[]), "settings"),
    (_set("settings", "n_latent", value="5"), "n_latent"),
    (_set("settings", "n_latent", value=0), "n_latent"),
    (_set("settings", "n_latent", value=6), "require"),
    (_set("settings", "n_latent", value=10**9), "require|damaged"),
    (_set("settings", "n_hidden", value=[10**6] * 4), "require"),
    (_set("settings", "n_hidden", value=[1] * 10**4), "layers"),
    (_set("settings", "n_hidden", value=[2**62, 2**62]), "damaged"),
    (_set("settings", "n_hidden", value=[True]), "n_hidden"),
    (_set("settings", "gene_likelihood", value="__import__('os')"), "gene_likelihood"),
    (_set("settings", "registry", value={}), "registry"),
    (_set("settings", "dropout_rate", value=2.0), "dropout_rate"),
    (_set("modalities", value=["rna", "protein"]), "tables"),
    (_set("layer", value=7), "layer"),
    (_set("labels_key", value=None), "labels_key"),
    (_set("continuous", value=["age"]), "design"),
    (_set("types", value=["B", "NK"]), "range"),
    (_set("types", value=["B", "NK", "T", "Mast"]), "require"),
    (_set("types", value=["B", "B", "T"]), "repeated"),
    (_set("types", value=[["B"], ["NK"], ["T"]]), "types"),
    (_set("has_unlabeled", value=True), "require"),
    (_set("batches", value=["one"]), "range"),
    (_set("files", WEIGHTS, "bytes", value="many"), "bytes"),
    (_set("files", WEIGHTS, "bytes", value=10), "bytes"),
]

MODEL_EDITS = [
    _set("model_class", value="Other"),
    _set("registry", value={}),
    _set("registry", "setup_args", "labels_key", value=None),
    _set("registry", "setup_args", "layer", value="raw"),
    _set(
        "registry",
        "field_registries",
        "labels",
        "state_registry",
        "categorical_mapping",
        value={"array": ["x", "y", "z"]},
    ),
    _set("registry", "field_registries", "X", "state_registry", "column_names", value={"array": ["a"] * 40}),
    _set("training_defaults", value={"callbacks": []}),
    _set("training_defaults", value={"plan_kwargs": {"self_destruct": 1}}),
    _set("reference_categories", value={"batches": 0}),
]


@pytest.mark.parametrize("edit, message", EDITS)
def test_each_field_is_checked(folder, edit, message):
    change(folder, edit)
    for read in (Sampler.load, ACTIVA.from_export):
        with pytest.raises(ValueError, match=message):
            read(folder)


@pytest.mark.parametrize("edit", MODEL_EDITS)
def test_what_scvi_registered_must_fit_the_sampler(model, folder, edit):
    change_json(folder, MODEL, edit)
    with pytest.raises(ValueError, match=MODEL):
        ACTIVA.from_export(folder)
    assert_same(Sampler.load(folder).generate(9, seed=0), model.generate(9, seed=0))


@pytest.mark.parametrize("value", [np.nan, -1.0, 0.5, 3.0])
def test_codes_out_of_range_are_refused(model, tmp_path, value):
    table = model.design_.astype(float)
    table.iloc[0, 0] = value
    broken = dataclasses.replace(model.sampler, design=dataclasses.replace(model.design, table=table))
    with pytest.raises(ValueError, match="design table"):
        broken.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


class Bomb:
    """Makes a folder where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("name", [MANIFEST, WEIGHTS, MODEL])
@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_code_in_the_place_of_a_file_is_not_run(folder, name, writer):
    fired = folder.parent / "fired"
    data = pickle.dumps(Bomb(fired))
    if writer == "torch":
        torch.save({"model_state_dict": Bomb(fired)}, folder.parent / "model.pt")
        data = (folder.parent / "model.pt").read_bytes()
    # it would go off where it is unpickled
    torch.load(folder.parent / "model.pt", weights_only=False) if writer == "torch" else pickle.loads(data)
    assert fired.exists()
    fired.rmdir()
    if name == MANIFEST:
        (folder / name).write_bytes(data)
    else:
        put(folder, name, data)  # signed: the checksum fits
    with pytest.raises(ValueError, match="not JSON|damaged|model.json"):
        ACTIVA.from_export(folder)
    assert not fired.exists()


def test_nothing_is_unpickled(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("something was unpickled")

    for target in ("pickle.load", "pickle.loads", "pickle.Unpickler", "torch.load"):
        monkeypatch.setattr(target, refuse)
    assert ACTIVA.from_export(folder).generate(3, seed=0).n_obs == 3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 8,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**40) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 7) + b"{{{{{{{",
        struct.pack("<Q", 62) + b'{"weights.margin":{"dtype":"F32","shape":[],"data_offsets":[0,9]}}'[:62] + b"1234",
        struct.pack("<Q", 70) + b'{"weights.margin":{"dtype":"F32","shape":[1e9],"data_offsets":[0,4]}}'.ljust(70) + b"1234",
        struct.pack("<Q", 70) + b'{"weights.margin":{"dtype":"PKL","shape":[1],"data_offsets":[0,4]}}'.ljust(70) + b"1234",
    ],
)  # fmt: skip
def test_malformed_headers_are_refused(folder, data):
    put(folder, WEIGHTS, data)
    with pytest.raises(ValueError, match="damaged"):
        ACTIVA.from_export(folder)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe{}",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"format_version":' + b"9" * 10_000 + b"}",
        b'{"format": NaN}',
        b"[]",
        b"{}",
        b'{"format": "activa sampler", "format_version": true}',
        b'{"format": "activa sampler", "format_version": 1}',
    ],
)
def test_malformed_settings_are_refused(folder, data):
    (folder / MANIFEST).write_bytes(data)
    with pytest.raises(ValueError, match="sampler.json"):
        ACTIVA.from_export(folder)


def test_manifests_of_any_size_are_not_read(folder):
    with (folder / MANIFEST).open("r+b") as file:
        file.truncate(2**40)  # sparse: no disk is filled
    with pytest.raises(ValueError, match="bytes"):
        ACTIVA.from_export(folder)


def test_the_version_is_in_what_is_generated(folder):
    assert ACTIVA.from_export(folder).generate(3, seed=0).uns["activa"]["version"] == activa.__version__
