#!/usr/bin/env bash
# Write into the folder REPORT how this commit differs from where it left the base branch, whose tip is BASE_SHA:
# what others have put there since is not this pull request's doing.
set -euo pipefail
export PATH="$PWD/.venv/bin:$PATH"

if ! base=$(git merge-base "$BASE_SHA" HEAD); then
  echo "error: no common ancestor with $BASE_SHA is here; check out the whole history (fetch-depth: 0)" >&2
  exit 1
fi
waymark report --base "$base" --output "$REPORT"
cat "$REPORT/report.md" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
