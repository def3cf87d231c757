#!/usr/bin/env bash
# Push the image in the file IMAGE to GitHub's registry under the tag TAG, and tell later steps its name and digest.
set -euo pipefail

name=ghcr.io/${GITHUB_REPOSITORY,,}
gunzip --stdout "$IMAGE" | docker load
docker tag waymark:release "$name:$TAG"
printf %s "$GITHUB_TOKEN" | docker login ghcr.io --username "$GITHUB_ACTOR" --password-stdin
docker push "$name:$TAG"

pushed=$(docker inspect --format '{{index .RepoDigests 0}}' "$name:$TAG")
echo "name=$name" >>"$GITHUB_OUTPUT"
echo "digest=${pushed##*@}" >>"$GITHUB_OUTPUT"
echo "\`$pushed\`" >>"$GITHUB_STEP_SUMMARY"
