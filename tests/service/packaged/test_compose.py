"""compose.yaml: nothing in it is secret, open to other machines, or of an unknown version; its S3 server starts."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]


def test_service_mlflow_and_s3_are_all_there_is() -> None:
    assert set(SERVICES) == {"service", "mlflow", "s3"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & service.keys()
    for port in service["ports"]:
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
    for volume in service.get("volumes", []):
        assert re.fullmatch(r"[a-z0-9]+:/data", volume)  # named volumes, no folder of the host


def test_images_are_named_by_digest_but_for_the_one_that_is_built_here() -> None:
    digest = re.compile(r"[a-z0-9./-]+:v?[0-9.]+@sha256:[0-9a-f]{64}")
    assert [name for name, service in SERVICES.items() if not digest.fullmatch(service["image"])] == ["service"]
    assert SERVICES["service"]["image"].startswith("waymark:${WAYMARK_TAG:?")
    assert SERVICES["service"]["pull_policy"] == "never"


def test_secrets_come_from_the_environment_and_must_be_there() -> None:
    assert re.findall(r"\$\{?(\w+)(.{2})", TEXT) == [
        ("WAYMARK_TAG", ":?"),
        ("S3_ACCESS_KEY", ":?"),
        ("S3_SECRET_KEY", ":?"),
    ]
    secret = re.compile(r"(?i)(key|secret|token|password)")
    named = [(key, value) for each in SERVICES.values() for key, value in each.get("environment", {}).items()]
    assert [key for key, value in named if secret.search(key) and "${" not in value] == []


@pytest.mark.slow
def test_s3_server_takes_the_keys_as_they_are_written(tmp_path: Path, free_port: int) -> None:
    s3 = SERVICES["s3"]
    command = ["rclone", *s3["command"]]
    for inside, here in (("/data", str(tmp_path)), ("0.0.0.0:9000", f"127.0.0.1:{free_port}")):
        command = [part.replace(inside, here) for part in command]
    (written,) = s3["environment"].values()
    keys = re.sub(r"\$\{S3_(\w+)_KEY:\?[^}]*\}", lambda found: f"{found[1].lower()}-of-the-tests", written)
    environment = os.environ | {"RCLONE_AUTH_KEY": keys}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            client: Any = botocore.session.Session().create_client(
                "s3",
                region_name="us-east-1",
                endpoint_url=f"http://127.0.0.1:{free_port}",
                aws_access_key_id="access-of-the-tests",
                aws_secret_access_key="secret-of-the-tests",
                config=Config(retries={"total_max_attempts": 10, "mode": "standard"}),
            )
            client.create_bucket(Bucket="waymark")
            assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["waymark"], shlex.join(command)
        finally:
            server.terminate()
