"""The plain FastAPI endpoint: uvicorn plain_fastapi:app, in a folder with a model."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI, UploadFile

from serving.plain import Model

app = FastAPI()
model = Model(Path.cwd())


@app.post("/predict")
async def predict(image: UploadFile) -> dict[str, Any]:  # on the event loop: a thread for each request is slower
    return model.answer(image.file)
