"""Runs stages as `python -m` does, each in a process of its own, without each importing the libraries anew.

This process imports them once and forks for each request: a line of JSON on stdin, answered by a line with the exit
status. Of Waymark itself nothing is imported before the fork, so that what a stage imports can still be told apart.
"""

import atexit
import gc
import importlib
import json
import os
import resource
import runpy
import sys
import threading
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any, NoReturn

# What takes a tenth of a second or more to import. Not onnxruntime: a fork does not survive the threads that it starts.
# Not mlflow: it reads at its import what `waymark.tracking.address` sets just before.
LIBRARIES = (
    "torch",
    "torch.onnx",
    "torchvision",
    "timm",
    "pytorch_lightning",
    "onnxscript",
    "great_expectations",
    "imagehash",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
)
OPERATORS = Path(__file__).resolve().parents[2] / "src/waymark/learning/torchvision_operators.py"


def main() -> None:
    with redirect_stdout(sys.stderr):
        kept = runpy.run_path(str(OPERATORS))  # noqa: F841 - the operators go with it
        for library in LIBRARIES:
            with suppress(ImportError):
                importlib.import_module(library)
    if (threads := threading.active_count()) > 1:
        sys.exit(f"{threads} threads run after the imports: a fork would lose all but one")
    gc.freeze()  # a collection in a child would touch, and so copy, every page
    for line in sys.stdin:
        child = os.fork()
        if not child:
            run(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run(request: dict[str, Any]) -> NoReturn:
    """Become the process that was asked for: `arguments` are a module or a script, and its own, as after `python`."""
    for stream, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, stream)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    if limit := request["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    name, *own = request["arguments"]
    sys.argv = [name, *own]
    try:
        if name.endswith(".py"):
            runpy.run_path(name, run_name="__main__")
        else:
            sys.path[0] = ""
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        leave(0)
    except SystemExit as ended:
        leave(ended.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        leave(1)


def leave(code: object) -> NoReturn:
    """As the interpreter ends, but for taking everything apart, which would copy all that the processes share."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
