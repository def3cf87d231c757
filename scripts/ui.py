"""`make ui`: MLflow's own pages over the runs of this repository, on this machine alone, until Ctrl-C."""

import argparse
import os
import socket
import sys

from waymark import params
from waymark.errors import WaymarkError, exit_with_sentence
from waymark.tracking import address

HOST = "127.0.0.1"
# MLflow would start seven more processes for jobs of language models.
SWITCHES = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


@exit_with_sentence
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5000)
    port = parser.parse_args().port
    uri = address.uri()
    if uri.startswith(("http://", "https://")):
        print(f"MLflow runs already: open {address.shown(uri)}")
        return
    refuse_taken(port)
    runs = address.experiment(address.connect(), params.load().dataset)
    # Without the end MLflow shows its pages for language models.
    page = f"http://{HOST}:{port}/#/experiments/{runs}/runs?workflowType=machine_learning"
    how = "There, click a run, then Model metrics for its curves; tick two and press Compare."
    print(f"In some seconds, open {page}\n{how}\nCtrl-C ends it.", flush=True)
    # The address may hold a database's password, and a command line is there for everyone on the machine to read.
    os.environ.update(SWITCHES | {"MLFLOW_BACKEND_STORE_URI": uri})
    command = ["mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--log-level warning"]
    os.execv(sys.executable, [sys.executable, "-m", *command])


def refuse_taken(port: int) -> None:
    """Raise WaymarkError where somebody listens already: MLflow would say so in a traceback."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise WaymarkError(f"port {port}: cannot be used ({why}); name another, as in make ui PORT=5001") from None


if __name__ == "__main__":
    main()
