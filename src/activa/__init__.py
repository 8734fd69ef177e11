"""ACTIVA: labeled synthetic single-cell counts, for scvi-tools. Names are imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from activa import datasets, experiments, hub, losses, metrics, model, module, pl, pp, simulate, train
    from activa.model import ACTIVA
    from activa.reporting import report
    from activa.sampler import Sampler

__version__ = version("activa-sc")

_PACKAGES = ("datasets", "experiments", "hub", "losses", "metrics", "model", "module", "pl", "pp", "simulate", "train")
_NAMES = {"ACTIVA": "activa.model", "Sampler": "activa.sampler", "report": "activa.reporting"}

__all__ = ["__version__", *_PACKAGES, *_NAMES]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"activa.{name}")
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'activa' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
