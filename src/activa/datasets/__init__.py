"""Real labelled counts to try the model on."""

from activa.datasets._pbmc68k_reduced import pbmc68k_reduced

__all__ = ["pbmc68k_reduced"]
