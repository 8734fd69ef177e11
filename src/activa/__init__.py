"""ACTIVA: labeled synthetic single-cell counts from an introspective variational autoencoder."""

from importlib.metadata import version

from activa.reporting import report

from . import datasets, experiments, hub, losses, metrics, model, module, pl, pp, train
from .model import ACTIVA

__version__ = version("activa-sc")

__all__ = [
    "ACTIVA",
    "__version__",
    "datasets",
    "experiments",
    "hub",
    "losses",
    "metrics",
    "model",
    "module",
    "pl",
    "pp",
    "report",
    "train",
]
