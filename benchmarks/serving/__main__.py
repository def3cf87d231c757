"""Measures the service: how fast it is beside others, and how it behaves under load.

python benchmarks/serving speed
python benchmarks/serving load L1 L3 L5
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import machine

from serving import load, speed, workspace
from waymark import paths

PACKAGES = ("bentoml", "starlette", "uvicorn", "uvloop", "onnxruntime", "pillow", "fastapi", "flask", "gunicorn")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/serving", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", choices=("random", "own"), help="MobileNetV3-small with random weights, or models/")
    commands = parser.add_subparsers(dest="command", required=True)
    comparing = commands.add_parser("speed", help="beside plain Flask and FastAPI endpoints and ONNX Runtime alone")
    comparing.add_argument("--rounds", type=int, default=5)
    comparing.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    loading = commands.add_parser("load", help="the cases of an open model")
    loading.add_argument("cases", nargs="+", choices=load.NAMES, metavar="CASE", help=", ".join(load.NAMES))
    loading.add_argument("--rate", type=float, help="take this for the rate that L1 finds, in requests a second")
    loading.add_argument("--minutes", type=float, help="take this for the minutes that L2 and L4 last")
    arguments = parser.parse_args()
    own = (workspace.ROOT / paths.ONNX).is_file()
    if arguments.model == "own" and not own:
        parser.error(f"there is no {paths.ONNX}; `dvc repro` makes it")
    models = [arguments.model] if arguments.model else ["random"]
    if own and not arguments.model and arguments.command == "speed":
        models.append("own")
    print(machine.line(*PACKAGES))
    for model in models:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            if arguments.command == "speed":
                print(f"\n{workspace.make(model, folder)}; {arguments.rounds} turns of {arguments.seconds:g} s")
                speed.compare(folder, arguments.rounds, arguments.seconds)
            else:
                print(f"\n{workspace.make(model, folder)}")
                load.run(folder, arguments.cases, arguments.rate, arguments.minutes)


if __name__ == "__main__":
    main()
