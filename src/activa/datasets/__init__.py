"""Real labeled counts to try the model on."""

from activa.datasets._brain_small import brain_small
from activa.datasets._neurocovid import neurocovid
from activa.datasets._pbmc68k import pbmc68k
from activa.datasets._pbmc68k_reduced import pbmc68k_reduced

__all__ = ["brain_small", "neurocovid", "pbmc68k", "pbmc68k_reduced"]
