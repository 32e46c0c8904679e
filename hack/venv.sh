#!/usr/bin/env bash
# Makes the virtual environment in $1 from the lock, with every hash checked.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}

command -v "$python" >/dev/null || { echo "python3 (3.11 or later) is missing: install it, or name one in PYTHON=" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "$("$python" --version) is too old: Python 3.11 or later is needed (name one in PYTHON=)" >&2; exit 1; }
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || {
    echo "python3's venv module is missing: install the package python3-venv" >&2; exit 1; }
  echo "installing the package python3-venv"
  apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
fi
echo "installing the locked dependencies into $venv (about a minute the first time)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --require-hashes -r requirements-dev.lock
"$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable .
