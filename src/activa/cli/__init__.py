"""The command ``activa``: train, export, generate and evaluate from a shell."""

from __future__ import annotations

import os
import sys

from activa.optional import is_installed


def main() -> None:
    """Run the command line, or tell how to install what it needs."""
    if not is_installed("typer"):
        print("The command activa needs typer: pip install 'activa-sc[cli]'", file=sys.stderr)
        raise SystemExit(2)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # before tqdm reads it: no bars in logs
    from activa.cli.app import app

    app()
