"""The files for other registries say what pyproject.toml says."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / "packaging").exists(), reason="only in a checkout")

# as conda-forge calls them
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read(path):
    return yaml.safe_load((ROOT / path).read_text())


def test_the_version_is_written_in_pyproject_only(project):
    recipe = read("packaging/recipe.yaml")
    assert recipe["context"]["version"] == '${{ env.get("ACTIVA_VERSION") }}'
    assert "version" not in read("CITATION.cff") and read("packaging/meta.yaml")["version"] is None
    printed = subprocess.run(
        [sys.executable, ROOT / "scripts" / "version.py"], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == project["version"]


def test_names_and_licenses_agree(project):
    recipe, meta, citation = read("packaging/recipe.yaml"), read("packaging/meta.yaml"), read("CITATION.cff")
    for license in (recipe["about"]["license"], meta["license"], citation["license"]):
        assert license == project["license"]
    assert f">={recipe['context']['python_min']}" == project["requires-python"]
    assert meta["install"]["pypi"] == recipe["context"]["name"] == project["name"]
    assert recipe["build"]["python"]["entry_points"] == [f"activa = {project['scripts']['activa']}"]


def test_the_conda_recipe_asks_for_what_the_package_does(project):
    # conda has no extras, so the command's typer comes along
    wanted = [*project["dependencies"], *project["optional-dependencies"]["cli"]]
    split = [re.fullmatch(r"([a-z-]+\d?)(>=.*)", requirement).groups() for requirement in wanted]
    expected = {f"{CONDA.get(name, name)} {bound}" for name, bound in split}
    assert set(read("packaging/recipe.yaml")["requirements"]["run"][1:]) == expected


def test_the_entry_has_what_the_ecosystem_asks_for():
    meta = read("packaging/meta.yaml")
    required = ["name", "description", "project_home", "documentation_home", "install", "license", "tags", "contact"]
    assert set(required) <= set(meta)
    assert len(set(meta["tags"])) == len(meta["tags"]) > 0
    assert all(re.fullmatch(r"10\.\d{4,9}/[-._;()/:A-Za-z0-9]+", doi) for doi in meta["publications"])
