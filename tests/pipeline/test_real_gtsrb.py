"""The real thing: GTSRB's own images from an S3 bucket, through the whole graph, with the default settings."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("WAYMARK_SHARED", ROOT.parent / "shared" / "data"))
ARCHIVE = SHARED / "gtsrb" / "archive.zip"


@pytest.mark.long
@pytest.mark.skipif(not ARCHIVE.exists(), reason="the real cut of GTSRB is not on this machine")
def test_real_signs_from_s3_are_learned_to_97_percent_and_a_half(
    tmp_path: Path, run: Callable[..., Any], copy_repository: Callable[[Path], None], s3: Any
) -> None:
    copy_repository(tmp_path)
    run(tmp_path, "git", "init", "--quiet")
    run(tmp_path, "git", "add", ".")
    run(tmp_path, "git", "commit", "--quiet", "--message", "Start")
    with ARCHIVE.open("rb") as body:
        s3.client().put_object(Bucket=s3.bucket, Key="gtsrb/archive.zip", Body=body)

    source = f"source=s3://{s3.bucket}/gtsrb/archive.zip"
    environment = s3.environment | {"PYTHONPATH": str(tmp_path / "src")}
    run(tmp_path, "dvc", "exp", "run", "-S", "dataset=gtsrb", "-S", source, **environment)

    metrics = json.loads((tmp_path / "reports" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["images"] == 2640
    assert metrics["accuracy"] >= 0.975
