#!/usr/bin/env bash
# Resolves pyproject.toml into the two locks: hashes for every file, no addresses of any index.
set -euo pipefail
uv=$1/bin/uv
options=(--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet --upgrade)
"$uv" pip compile "${options[@]}" pyproject.toml -o requirements.lock
"$uv" pip compile "${options[@]}" pyproject.toml --group dev -o requirements-dev.lock
