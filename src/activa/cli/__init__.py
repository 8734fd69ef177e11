"""The command ``activa``: a generator in a pipeline, by files. It needs the extra ``cli``."""

from __future__ import annotations

import sys

from activa.optional import is_installed


def main() -> None:
    """Run the command line, or say how to install what it needs."""
    if not is_installed("typer"):
        print("The command activa needs typer: pip install 'activa-sc[cli]'", file=sys.stderr)
        raise SystemExit(2)
    from activa.cli._app import app

    app()
