"""Progress bars, which scvi-tools' and scanpy's settings switch off."""

from __future__ import annotations

import logging
import sys
from typing import Any

from tqdm.auto import tqdm


def is_quiet() -> bool:
    """Whether ``scvi.settings.verbosity`` is above ``logging.INFO``, or ``scanpy.settings.verbosity`` is 0 (errors only)."""
    scvi, scanpy = sys.modules.get("scvi"), sys.modules.get("scanpy")
    level: Any = logging.INFO if scvi is None else scvi.settings.verbosity
    if isinstance(level, str):
        level = logging.getLevelNamesMapping()[level]
    return level > logging.INFO or (scanpy is not None and int(scanpy.settings.verbosity) <= 0)


def progress(iterable: Any = None, **kwargs: Any) -> Any:
    """A bar over an iterable, which disappears when it ends and is not shown if :func:`is_quiet`; arguments of tqdm."""
    if is_quiet():
        kwargs["disable"] = True  # False would override TQDM_DISABLE, which the command line sets for logs
    return tqdm(iterable, leave=False, **kwargs)
