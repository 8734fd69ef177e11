#!/usr/bin/env bash
# Print the path of a Python >= 3.12 with venv and ensurepip, to create activa's environment with.
# 3.12 comes first because constraints.txt was made with it. PYTHON=... chooses another.
set -euo pipefail

works() {
    "$1" -c 'import sys, ctypes, ensurepip, ssl, venv; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

if [ -n "${PYTHON:-}" ]; then
    works "$PYTHON" && { command -v "$PYTHON"; exit; }
    echo "PYTHON=$PYTHON is not a Python >= 3.12 with venv and ensurepip." >&2
    exit 1
fi

# A pyenv shim is on PATH even when its version is not active, so each candidate is run, not only looked up.
shopt -s nullglob
for version in 3.12 3.13 3.14; do
    for candidate in \
        "python$version" \
        "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version"*/bin/python \
        "${UV_PYTHON_INSTALL_DIR:-$HOME/.local/share/uv/python}/cpython-$version"*/bin/python3 \
        "/opt/homebrew/bin/python$version" \
        "/usr/local/bin/python$version"; do
        works "$candidate" && { command -v "$candidate"; exit; }
    done
done
for candidate in python3 python "$HOME"/{miniforge3,mambaforge,miniconda3,anaconda3}/bin/python; do
    works "$candidate" && { command -v "$candidate"; exit; }
done

cat >&2 <<'MESSAGE'
activa needs Python >= 3.12 with venv and ensurepip, and none was found on PATH or under pyenv, uv or conda.
Install one, for example with
    pyenv install 3.12        or
    uv python install 3.12    or
    conda create -n py312 python=3.12
or choose one: make PYTHON=/path/to/python3.12
(on Debian and Ubuntu a system Python also needs the package python3.12-venv).
MESSAGE
exit 1
