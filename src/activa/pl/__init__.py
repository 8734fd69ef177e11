"""Plots: each returns a Matplotlib figure, shows nothing by itself and leaves global settings alone."""

from ._umap import umap

__all__ = ["umap"]
