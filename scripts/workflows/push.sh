#!/usr/bin/env bash
# Keep what came out in the DVC remote, before git learns of it: a dvc.lock that nobody can pull helps nobody.
set -euo pipefail
export PATH="$PWD/.venv/bin:$PATH"

dvc push
