"""Real labeled counts to try the model on."""

from activa.datasets.loaders import brain_small, neurocovid, pbmc68k, pbmc68k_reduced

__all__ = ["brain_small", "neurocovid", "pbmc68k", "pbmc68k_reduced"]
