import re
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
from tests_helpers import make_counts

import activa
from activa import ACTIVA, optional
from activa.hub import model_card
from activa.metrics import evaluate

hub = pytest.importorskip("huggingface_hub")
scvi_hub = pytest.importorskip("scvi.hub")


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model")
    return str(tmp_path / "model")


@pytest.fixture
def metadata(folder):
    return scvi_hub.HubMetadata.from_dir(folder, anndata_version=version("anndata"), model_parent_module="activa")


def test_a_model_comes_back_from_its_folder_and_generates_the_same_cells(model, folder, metadata):
    scvi_hub.HubModel(folder, metadata=metadata, model_card=model_card(model, license="cc-by-4.0")).save()
    back = scvi_hub.HubModel(folder)  # as one who has downloaded the folder
    assert back.metadata == metadata and back.metadata.model_cls_name == "ACTIVA"
    assert back.model_card.data.license == "cc-by-4.0"
    back.load_model(adata=False, accelerator="cpu")
    assert type(back.model) is ACTIVA and back.model.adata is None
    cells, expected = (m.generate(50, seed=3) for m in (back.model, model))
    np.testing.assert_array_equal(cells.X.toarray(), expected.X.toarray())
    pd.testing.assert_frame_equal(cells.obs, expected.obs)
    pd.testing.assert_frame_equal(cells.var, expected.var)


def test_with_the_cells_in_the_folder_nothing_need_be_said(model, tmp_path):
    folder = str(tmp_path / "model")
    model.save(folder, save_anndata=True)
    metadata = scvi_hub.HubMetadata.from_dir(folder, anndata_version=version("anndata"), model_parent_module="activa")
    back = scvi_hub.HubModel(folder, metadata=metadata, model_card=model_card(model, license="mit"))
    assert type(back.model) is ACTIVA and back.model.adata.n_obs == model.adata.n_obs
    np.testing.assert_array_equal(back.model.generate(9, seed=0).X.toarray(), model.generate(9, seed=0).X.toarray())


def test_the_card_says_what_one_who_downloads_it_asks(model):
    card = model_card(model, license="cc0-1.0", description="For a test.", training_data="Made.", tissues=["blood"])
    assert card.data.library_name == "scvi-tools" and card.data.license == "cc0-1.0"
    assert {"model_cls_name:ACTIVA", "tissue:blood"} <= set(card.data.tags)
    for column in ("cell_type", "batch"):
        for name, n in model.adata.obs[column].value_counts().items():
            assert f"| {name} | {n} |" in card.text
    assert f"{model.adata.n_vars} genes" in card.text and "`gene_0`" in card.text
    for said in ("For a test.", "Made.", "gene_likelihood", "nb-outlier", "no replicates", "differential privacy"):
        assert said in card.text
    assert f"| activa-sc | {activa.__version__} |" in card.text
    assert f"| scvi-tools | {model.registry_['scvi_version']} |" in card.text
    assert "10.1093/bioinformatics/btac095" in card.text and "Not measured" in card.text


def test_the_cards_code_runs(model, folder, monkeypatch):
    monkeypatch.chdir(folder)
    card = model_card(model, license="mit")
    code = re.search(r"```python\n(.*?)```", card.text, flags=re.DOTALL).group(1)
    made: dict = {}
    exec(code, made)
    assert made["cells"].n_obs == 1000
    assert made["more"].obs["cell_type"].value_counts().max() == made["more"].n_obs == 100
    compile(
        re.search(r"```python\n(.*?)```", model_card(model, license="mit", repo_name="me/cells").text, re.DOTALL)[1],
        "",
        "exec",
    )


def test_realism_is_shown_beside_its_floor(model):
    table = evaluate(make_counts(seed=1), model.generate(100, seed=0), metrics=["mmd", "library_size_distance"])
    text = model_card(model, license="mit", realism=table).text
    for name, row in table.iterrows():
        value = f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        floor = f"{row['floor']:.3f} ({row['floor_low']:.3f} to {row['floor_high']:.3f})"
        assert f"| {name} | {value} | {floor} | {row['judgment']} |" in text
    with pytest.raises(ValueError, match="one generator"):
        model_card(model, license="mit", realism=pd.concat({"one": table, "two": table}))


def test_bad_arguments(model):
    with pytest.raises(ValueError, match="license"):
        model_card(model, license="")
    with pytest.raises(TypeError, match="tissues"):
        model_card(model, license="mit", tissues="blood")
    with pytest.raises(ValueError, match="realism .*'floor'"):
        model_card(model, license="mit", realism=pd.DataFrame({"value": [1.0], "best": [1.0], "description": [""]}))
    adata = make_counts()
    ACTIVA.setup_anndata(adata)
    with pytest.raises(RuntimeError, match="[Tt]rain"):
        model_card(ACTIVA(adata, n_hidden=(8,), n_latent=2), license="mit")


def test_without_the_package_it_says_how_to_get_it(model, monkeypatch):
    monkeypatch.setattr(optional, "is_installed", lambda module: False)
    with pytest.raises(ImportError, match=r"pip install 'activa-sc\[hub\]'"):
        model_card(model, license="mit")
