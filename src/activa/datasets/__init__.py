"""Real labeled counts to try the model on."""

from activa.datasets.bundled import pbmc68k_reduced
from activa.datasets.paper_data import brain_small, neurocovid, pbmc68k

__all__ = ["brain_small", "neurocovid", "pbmc68k", "pbmc68k_reduced"]
