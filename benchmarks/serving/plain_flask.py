"""The plain Flask endpoint: gunicorn plain_flask:app, in a folder with a model."""

from pathlib import Path
from typing import Any

from flask import Flask, request

from serving.plain import Model

app = Flask(__name__)
model = Model(Path.cwd())


@app.post("/predict")
def predict() -> dict[str, Any]:
    return model.answer(request.files["image"].stream)
