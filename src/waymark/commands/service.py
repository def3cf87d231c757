"""`waymark predict` and `waymark package`: the model at work."""

import argparse
from pathlib import Path

from waymark.commands.arguments import Subcommands, whole


def add(commands: Subcommands) -> None:
    predict = commands.add_parser(
        "predict",
        help="answer for images in files, folders and zips",
        description="One row an image: path, label, class name, probability, whether it is answered or not sure, the "
        "most probable classes, the error if it is refused, and the model's version. Rows stand in the order of PATHS, "
        "in natural order within each. The limits are the service's, but zips may have any size.",
        epilog="Exit code 0: each image has an answer, if only that the model is not sure; 3: some were refused, and "
        "their rows say why; 1: an error, and --output is as it was.",
    )
    predict.add_argument(
        "paths",
        nargs="+",
        metavar="PATHS",
        help="image; zip; folder, of which files that are called like images are taken, hidden ones and linked folders "
        "left out; or a quoted pattern such as 'scans/**/*.png'",
    )
    predict.add_argument(
        "--format",
        choices=("csv", "json", "parquet"),
        help="csv: further classes as columns label_2 and so on; json: one array, a row a line; parquet needs --output "
        "(default: what --output ends in, else csv)",
    )
    predict.add_argument("--output", type=Path, help="file, written whole or not at all (default: standard output)")
    predict.add_argument("--top", type=int, metavar="K", help="classes named in each row (default: 5)")
    predict.add_argument("--url", help="ask the service at this address, not the model here; http://127.0.0.1:3000")
    predict.add_argument(
        "--threads",
        type=whole(1, 256),
        metavar="N",
        help="images or requests at work at a time (default: one for each core)",
    )
    predict.set_defaults(run=_predict)

    package = commands.add_parser(
        "package",
        help="put the service and the model into a Bento",
        description="Put the service and the workspace's model into BentoML's store, in place of a package of the same "
        "model, and print the Bento's tag: `bentoml serve TAG` serves it, `bentoml containerize TAG` makes an image.",
    )
    package.add_argument(
        "--champion", action="store_true", help="MLflow's champion of the data set, not the workspace's model"
    )
    package.add_argument("--base", metavar="IMAGE", help="what such an image starts from (default: python:3.11-slim)")
    package.set_defaults(run=_package)


def _predict(arguments: argparse.Namespace) -> int:
    from waymark.scoring import predict

    return predict.run(
        arguments.paths,
        kind=arguments.format,
        output=arguments.output,
        top=arguments.top,
        url=arguments.url,
        threads=arguments.threads,
    )


def _package(arguments: argparse.Namespace) -> int:
    from waymark.serving import packaging

    if not arguments.champion:
        print(packaging.run(Path(), arguments.base))
        return 0
    from waymark import params
    from waymark.tracking import artefacts

    with artefacts.of_champion(params.load().dataset) as folder:
        print(packaging.run(Path(), arguments.base, model_root=folder))
    return 0
