import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from anndata import AnnData

_PACKAGES = ("activa-sc", "anndata", "numpy", "scanpy", "scikit-learn", "scipy", "scvi-tools", "torch")


def settings_of(
    synthetic: AnnData,
    optional: Mapping[str, AnnData | None],
    labels_key: str | None,
    layer: str | None,
    normalized: bool,
    seed: int,
) -> dict[str, Any]:
    """What is needed to make the page once more: ``call``, ``versions``, and the ``generator``'s own settings."""
    given: dict[str, Any] = {"labels_key": labels_key, "layer": layer}
    arguments = [f"{key}={value!r}" for key, value in given.items() if value is not None]
    arguments += [f"{key}={key}" for key, adata in optional.items() if adata is not None]
    arguments += ["normalized=True"] if normalized else []
    call = ", ".join(["real", "synthetic", '"report.html"', *arguments, f"seed={seed}"])
    versions = {name: version(name) for name in _PACKAGES} | {"Python": platform.python_version()}
    made = synthetic.uns.get("activa")
    generator = None if made is None else json.dumps(made, indent=1, default=_plain, ensure_ascii=False)
    return {"call": f"activa.report({call})", "versions": versions, "generator": generator}


def _plain(value: Any) -> Any:
    """What came out of a file as NumPy's."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
