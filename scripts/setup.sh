#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the environment in .venv from requirements.lock. Does nothing when it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=.venv/.installed
native=ds2_tf/decoding/_native.cpython-310-$(uname -m)-linux-gnu.so
if cmp -s requirements.lock "$stamp" && .venv/bin/ds2 --version >/dev/null 2>&1; then
  if [ -z "$(find ds2_tf/decoding/native -newer "$native" 2>/dev/null || echo none)" ]; then
    exit 0
  fi
  echo "setup: compiling the decoder" >&2
  exec .venv/bin/python setup.py -q build_ext --inplace >&2
fi

# KenLM comes as source.
if ! command -v c++ >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "setup: installing a C++ compiler" >&2
    apt-get update -q >/dev/null && apt-get install -q -y g++ >/dev/null
  else
    echo "setup: a C++ compiler is missing: sudo apt-get install g++" >&2
    exit 1
  fi
fi

python=$(scripts/find_python.sh)
echo "setup: making .venv with $python (a minute or two)" >&2
rm -f "$stamp"
"$python" -m venv --clear .venv
.venv/bin/python -m pip install -q --disable-pip-version-check \
  "$(grep '^uv==' requirements.lock)" >&2
.venv/bin/uv pip install -q --python .venv/bin/python --no-deps -r requirements.lock >&2
.venv/bin/uv pip install -q --python .venv/bin/python --no-deps -e . >&2
cp requirements.lock "$stamp"
