#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints the path of a working Python 3.10 with venv: TFX 1.16 runs on no newer one.
# Looks at $PYTHON, the PATH, pyenv, uv, conda and the places where packages and builds go.
set -u

usable() {
  # A shim may stand on the PATH and still fail: only running it tells.
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 10))' \
    >/dev/null 2>&1
}

candidates() {
  [ -n "${PYTHON:-}" ] && echo "$PYTHON"
  command -v python3.10 python3 python 2>/dev/null
  if command -v pyenv >/dev/null 2>&1; then
    pyenv versions --bare 2>/dev/null | grep '^3\.10\.' | sort -rV | while read -r version; do
      echo "$(pyenv prefix "$version" 2>/dev/null)/bin/python"
    done
  fi
  command -v uv >/dev/null 2>&1 && uv python find 3.10 2>/dev/null
  ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10*/bin/python \
    "$HOME"/.local/share/uv/python/cpython-3.10*/bin/python3.10 \
    "$HOME"/{miniconda3,anaconda3,miniforge3,mambaforge}/envs/*/bin/python3.10 \
    /opt/conda/envs/*/bin/python3.10 /opt/python/3.10*/bin/python3.10 \
    /opt/python/cp310-cp310/bin/python3.10 /opt/homebrew/bin/python3.10 \
    /usr/local/bin/python3.10 /usr/bin/python3.10 2>/dev/null
}

while read -r candidate; do
  if usable "$candidate"; then
    "$candidate" -c 'import sys; print(sys.executable)'
    exit 0
  fi
done < <(candidates)

echo "ds2-tf needs Python 3.10 with venv and found none: install it with 'pyenv install 3.10'" \
  "or 'uv python install 3.10' or 'conda create -n py310 python=3.10', or name one: " \
  "PYTHON=/path/to/python3.10 make ..." >&2
exit 1
