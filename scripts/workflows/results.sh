#!/usr/bin/env bash
# Put a run's results, which lie in the folder RESULTS, on the branch HEAD_REF, as one commit on top of the commit
# HEAD_SHA that was run. Nothing is pushed where nothing changed, so that a run of this commit ends the round, and
# nothing where the branch has moved on or is gone: what stands there now has a run of its own.
set -euo pipefail

git check-ref-format "refs/heads/$HEAD_REF"
if [ "$(git rev-parse HEAD)" != "$HEAD_SHA" ]; then
  echo "error: $(git rev-parse HEAD) is checked out, not the commit $HEAD_SHA that was run" >&2
  exit 1
fi

git ls-files -- dvc.lock 'reports/*.json' | while IFS= read -r file; do
  [ ! -f "$RESULTS/$file" ] || cp --no-dereference "$RESULTS/$file" "$file"
done
git add --update -- dvc.lock reports
if git diff --cached --quiet; then
  echo "The results are those that the branch has already."
  exit 0
fi

export GIT_AUTHOR_NAME='github-actions[bot]' GIT_AUTHOR_EMAIL='41898282+github-actions[bot]@users.noreply.github.com'
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL
# `waymark comment` knows this commit by its subject (reporting/comment.py).
git commit --quiet --no-verify --message "Record the results of $HEAD_SHA"

# The lease lets the push through only while the branch is where it was; the helper keeps the token off command lines.
# shellcheck disable=SC2016
if git -c credential.helper= \
  -c credential.helper='!f() { echo username=x-access-token; echo "password=$GITHUB_TOKEN"; }; f' \
  push --force-with-lease="refs/heads/$HEAD_REF:$HEAD_SHA" origin "HEAD:refs/heads/$HEAD_REF"; then
  exit 0
fi
now=$(git ls-remote origin "refs/heads/$HEAD_REF" | cut -f1)
[ "$now" != "$HEAD_SHA" ] || exit 1
echo "The branch $HEAD_REF has moved on to ${now:-nowhere}; the results of $HEAD_SHA are not put there."
