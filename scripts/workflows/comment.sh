#!/usr/bin/env bash
# Write the report in the folder REPORT as a comment on the pull request whose head is HEAD_SHA of HEAD_REPOSITORY.
# The report comes from outside: it is read as text, and nothing in it says where it goes. GitHub says that.
set -euo pipefail
export PYTHONPATH=src ITERATIVE_DO_NOT_TRACK=1

text=$REPORT/report.md
if [ -L "$text" ] || [ ! -f "$text" ]; then
  echo "error: $text: expected a file, as the workflow experiment uploads it" >&2
  exit 1
fi
if [ "$HEAD_REPOSITORY" != "$GITHUB_REPOSITORY" ]; then
  warned=$(mktemp)
  trap 'rm -f "$warned"' EXIT
  printf '> [!NOTE]\n> Code of the fork wrote this report; look at that code before you believe it.\n\n' |
    cat - "$text" >"$warned"
  text=$warned
fi

# Without CML: drop --dry-run and what follows this command.
number=$(python3 -m waymark.cli comment "$text" \
  --commit "$HEAD_SHA" --head-repository "$HEAD_REPOSITORY" --title "Waymark report" --dry-run)
# Without --publish=false CML would upload pictures to a third party. The token is taken from the environment.
cml comment update --publish=false --watermark-title="Waymark report" --target="pr/$number" \
  --driver=github --repo="$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" "$text"
