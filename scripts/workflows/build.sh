#!/usr/bin/env bash
# Build the image of the service with this tag's model, and write it to IMAGE, for the job that may publish it.
# With AWS_ROLE the model comes from the DVC remote; without, the stages make it, and it has to be the recorded one.
set -euo pipefail
export PATH="$PWD/.venv/bin:$PATH"

if [ -n "${AWS_ROLE:-}" ]; then
  dvc pull models/contract.json models/model.onnx data/prepared/class_pictures.png reports/model_card.md
else
  dvc repro evaluate
  if ! git diff --quiet -- dvc.lock; then
    echo "error: the stages made another model here than dvc.lock records; release from a repository with a DVC remote" >&2
    exit 1
  fi
fi
make container OPTIONS="--image-tag waymark:release"
docker save waymark:release | gzip >"$IMAGE"
