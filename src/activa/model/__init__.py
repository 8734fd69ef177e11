"""The model: what a user calls."""

from activa.model.activa import ACTIVA

__all__ = ["ACTIVA"]
