#!/usr/bin/env bash
# Run the stages that this commit changed, and tell later steps whether their results are news to git.
set -euo pipefail
export PATH="$PWD/.venv/bin:$PATH"

# A variable that the repository does not have reaches a step as an empty one.
[ -n "${MLFLOW_TRACKING_URI:-}" ] || unset MLFLOW_TRACKING_URI

python scripts/check_params.py
dvc repro

changed=false
[ -z "$(git status --porcelain -- dvc.lock reports)" ] || changed=true
echo "changed=$changed" >>"${GITHUB_OUTPUT:-/dev/null}"
