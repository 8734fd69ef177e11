"""Imports of optional packages."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from types import ModuleType


def is_installed(module: str) -> bool:
    """Whether an optional package can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def import_optional(module: str, needed_for: str, extra: str = "eval") -> ModuleType:
    """Import a module of an optional package; the ImportError says which extra installs it."""
    package = module.partition(".")[0]
    if not is_installed(package):
        raise ImportError(f"{needed_for} needs {package}: pip install 'activa-sc[{extra}]'")
    with warnings.catch_warnings():
        # These packages trigger warnings about their own dependencies, which users can do nothing about.
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        warnings.filterwarnings("ignore", message="JAXopt is no longer maintained", category=DeprecationWarning)
        return importlib.import_module(module)
