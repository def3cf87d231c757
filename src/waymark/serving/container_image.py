"""The image that `bentoml containerize` builds: what BentoML's own Dockerfile leaves open."""

import bentoml

# python:3.11.16-slim; another one: `waymark package --base`
BASE = "docker.io/library/python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7"
# BentoML's Dockerfile installs packages with the uv that it finds, else with the newest one. Wheels for x86-64 and Arm.
UV = (
    "uv==0.13.9"
    " --hash=sha256:d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19"
    " --hash=sha256:ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375"
)
PIP = "python3 -m pip install --no-cache-dir --root-user-action=ignore --require-hashes --requirement /tmp/uv.lock"
ENVIRONMENT = {
    "BENTOML_DO_NOT_TRACK": "True",
    "BENTOML_HOME": "/tmp/bentoml",  # the root may be read-only
    "BENTOML_HOST": "0.0.0.0",
    "ORT_DISABLE_TELEMETRY": "1",
    "PYTHONDONTWRITEBYTECODE": "1",  # uv has compiled the packages when it installed them
    "UV_NO_CACHE": "1",
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_SYSTEM_CERTS": "1",  # where the packages come through a company's own authority
}
READY = "f'http://127.0.0.1:{os.environ.get(\\\"BENTOML_PORT\\\", 3000)}/readyz'"
HEALTH = f"import os, urllib.request; urllib.request.urlopen({READY}, timeout=4)"


def image() -> bentoml.images.Image:
    """BentoML makes a RUN line of each command and knows no other lines: those follow RUN within the same command."""
    lines = [
        f"echo '{UV}' > /tmp/uv.lock && {PIP} && rm /tmp/uv.lock",
        *(f"ENV {name}={value}" for name, value in ENVIRONMENT.items()),
        f'HEALTHCHECK --interval=10s --timeout=5s --start-period=15s CMD ["python", "-c", "{HEALTH}"]',
    ]
    # For a distribution that it knows, BentoML would install a compiler and git first, which no wheel needs.
    return bentoml.images.Image(BASE, distro="any", python_version="3.11", commands=["\n".join(lines)])
