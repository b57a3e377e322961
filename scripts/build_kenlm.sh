#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds KenLM's lmplz and build_binary, with which `ds2 lm build` makes language models, into
# .tools/kenlm/bin. Takes the sources of the version in requirements.lock from the package index.
# Does nothing when they are there. Takes the path of a Python with pip; without one it needs the
# environment of scripts/setup.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${1:-.venv/bin/python}
version=$(sed -n 's/^kenlm==//p' requirements.lock)
target=.tools/kenlm
if [ "$(cat "$target/version" 2>/dev/null)" = "$version" ]; then
  exit 0
fi

packages="libboost-program-options-dev libboost-system-dev libboost-thread-dev libboost-test-dev"
missing=
command -v c++ >/dev/null 2>&1 || missing="g++"
command -v cmake >/dev/null 2>&1 || missing="$missing cmake"
echo '#include <boost/program_options.hpp>' | c++ -E -x c++ - >/dev/null 2>&1 &&
  echo '#include <boost/test/unit_test.hpp>' | c++ -E -x c++ - >/dev/null 2>&1 ||
  missing="$missing $packages"
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "build_kenlm: installing" $missing >&2
    apt-get update -q >/dev/null && apt-get install -q -y $missing >/dev/null
  else
    echo "build_kenlm: missing, needed only to make language models: sudo apt-get install" \
      $missing >&2
    exit 1
  fi
fi

echo "build_kenlm: building KenLM $version (half a minute)" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip download -q --no-deps --no-build-isolation --no-binary kenlm \
  -d "$work" "kenlm==$version" >&2
mkdir "$work/source"
tar -xzf "$work"/kenlm-*.tar.gz -C "$work/source" --strip-components=1
if ! { cmake -S "$work/source" -B "$work/build" -DCMAKE_BUILD_TYPE=Release \
         -DKENLM_MAX_ORDER=6 -DCMAKE_POLICY_VERSION_MINIMUM=3.5 &&
       cmake --build "$work/build" --target lmplz build_binary -j "$(nproc)"; } \
     >"$work/log" 2>&1; then
  tail -n 30 "$work/log" >&2
  echo "build_kenlm: KenLM $version could not be built, see above" >&2
  exit 1
fi
mkdir -p "$target/bin"
cp "$work/build/bin/lmplz" "$work/build/bin/build_binary" "$target/bin/"
echo "$version" >"$target/version"
