"""The ACTIVA model."""

from ._model import ACTIVA

__all__ = ["ACTIVA"]
