"""What each route of the service does, for one model."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from waymark.serving import spelling
from waymark.serving.answering import Answer, Answering
from waymark.serving.bodies import Reception, whole_number
from waymark.serving.instruments import Instruments
from waymark.serving.limits import Limits
from waymark.serving.model import TOP, ServedModel
from waymark.serving.statuses import STATUSES


class Handlers:
    """Made when the application starts, on its event loop."""

    def __init__(self, model: ServedModel, limits: Limits, instruments: Instruments) -> None:
        self.model, self.limits, self.instruments = model, limits, instruments
        self.answering = Answering(model, limits, instruments)
        self.reception = Reception(limits)
        self.headers = {"Model-Version": model.version}

    async def predict(self, request: Request) -> Response:
        self.answering.admit()  # before the body is looked at: to refuse has to be cheap
        top = self._top(request)
        async with self.reception.one(request) as sent:
            answer = await self.answering.one(sent.data, sent.roi, top)
        return self.reply({**answer, "model": self.model.identity})

    async def predict_batch(self, request: Request) -> Response:
        answers = await self._several(request)
        return self._reply_each({"results": answers}, answers)

    async def spell(self, request: Request) -> Response:
        if not spelling.spells(self.model.class_names):
            return self.refuse_as("409")
        letters = await self._several(request)
        word = spelling.word(letter["class_name"] for letter in letters if "error" not in letter)
        return self._reply_each({"word": word, "letters": letters}, letters)

    async def explain(self, request: Request) -> Response:
        asked = request.query_params.get("label")
        last = len(self.model.class_names) - 1
        label = None if asked is None else whole_number(asked, name="label", lowest=0, highest=last, default=0)
        async with self.reception.one(request) as sent:
            explained, png = await self.answering.explanation(sent.data, sent.roi, label)
        return Response(png, headers={**self.headers, "Explained-Label": str(explained)}, media_type="image/png")

    async def describe_model(self, _: Request) -> Response:
        return self.reply(self.model.description(self.limits))

    async def metrics(self, _: Request) -> Response:
        return Response(self.instruments.text(), headers=self.headers, media_type="text/plain; version=0.0.4")

    def reply(self, document: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return Response(body, status, {**self.headers, **(headers or {})}, "application/json")

    def refuse(self, status: int, reason: str, message: str, headers: dict[str, str] | None = None) -> Response:
        self.instruments.refused(reason)
        document = {"error": {"reason": reason, "message": message}, "model": self.model.identity}
        return self.reply(document, status, headers)

    def refuse_as(self, code: str, headers: dict[str, str] | None = None) -> Response:
        """With the first reason of a status, and what is said for it."""
        status = STATUSES[code]
        return self.refuse(int(code), status.reasons[0], status.said(self.limits), headers)

    async def _several(self, request: Request) -> list[Answer]:
        top = self._top(request)
        async with self.reception.several(request) as sent:
            if sent.archive is not None:
                return await self.answering.archive(sent.archive, top)
            return await self.answering.several(sent.images, sent.rois, top)

    def _reply_each(self, document: dict[str, Any], answers: list[Answer]) -> Response:
        """200 where one image at least was answered, else 400 with the reason of the first."""
        errors = [answer["error"] for answer in answers if "error" in answer]
        for error in errors:
            self.instruments.refused(error["reason"])
        document = {**document, "errors": len(errors), "model": self.model.identity}
        if len(errors) == len(answers):
            return self.reply({"error": errors[0], **document}, 400)
        return self.reply(document)

    def _top(self, request: Request) -> int:
        classes = len(self.model.class_names)
        asked = request.query_params.get("top")
        return whole_number(asked, name="top", lowest=1, highest=classes, default=min(TOP, classes))
