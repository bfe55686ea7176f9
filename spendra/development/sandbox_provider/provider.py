"""The provider's routes: what it accepts, refuses and tells about itself."""

import asyncio
import itertools
import time
from typing import Any

import orjson

from spendra.development.sandbox_provider import completions, faults
from spendra.development.sandbox_provider.answering import JSON, Answer
from spendra.development.sandbox_provider.charges import Charge, Charges
from spendra.development.sandbox_provider.completions import Completion
from spendra.development.sandbox_provider.errors import ApiError
from spendra.development.sandbox_provider.faults import Faults
from spendra.development.sandbox_provider.prices import PricedModel, load_models
from spendra.development.sandbox_provider.wire import Reply, Request

MAX_REMEMBERED = 256  # requests that `GET /requests/ID` can show
ERROR_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded", 500: "server_error"}


class Provider:
    """One provider's books. `handle` serves every connection."""

    def __init__(self) -> None:
        self._models: dict[str, PricedModel] = load_models()
        self._charges = Charges()
        self._remembered: dict[str, Request] = {}
        self._numbers = itertools.count(1)
        self._run = f"{time.time_ns():x}"  # so that ids differ from those of an earlier process

    async def handle(self, request: Request, reply: Reply) -> None:
        request_id = f"req_{self._run}{next(self._numbers):08x}"
        try:
            if request.path == "/v1/chat/completions":
                await self._complete(request, reply, request_id)
            else:
                reply.send(200, JSON, orjson.dumps(self._look_up(request)))
        except ApiError as error:
            reply.send(error.status, {**JSON, "x-request-id": request_id, **error.headers}, error.body())

    def _look_up(self, request: Request) -> dict[str, Any]:
        match request.method, request.path.split("/")[1:]:
            case "GET", ["v1", "models"]:
                _authenticate(request)
                return {"object": "list", "data": [_render_model(name) for name in self._models]}
            case "GET", ["charges"]:
                return self._charges.listed()
            case "POST", ["charges", "reset"]:
                self._charges = Charges()
                return self._charges.listed()
            case "GET", ["requests", request_id] if request_id in self._remembered:
                return _render_request(self._remembered[request_id])
        raise ApiError(404, f"Unknown request URL: {request.method} {request.path}.", code="unknown_url")

    async def _complete(self, request: Request, reply: Reply, request_id: str) -> None:
        self._remember(request_id, request)
        asked_faults = faults.parse_faults(request.headers.get(faults.HEADER, ""))
        body = _parse_body(request)
        asked = self._find_model(body)
        answering = self._models.get(asked_faults.model or "", asked)
        completion = completions.plan(
            body,
            completion_id=f"chatcmpl-{request_id.removeprefix('req_')}",
            asked=asked,
            answering=answering,
            faults=asked_faults,
        )
        if asked_faults.status is not None:
            await _fail(asked_faults, asked_faults.status)
        charge = self._open_charge(request, request_id, completion, answering)
        headers = {"x-request-id": request_id, "openai-version": "2020-10-01"}
        answer = Answer(reply, completion=completion, charge=charge, faults=asked_faults, headers=headers)
        await (answer.stream() if body.get("stream") else answer.send_whole())

    def _remember(self, request_id: str, request: Request) -> None:
        self._remembered[request_id] = request
        if len(self._remembered) > MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]

    def _find_model(self, body: dict[str, Any]) -> PricedModel:
        name = body.get("model")
        if not isinstance(name, str) or name not in self._models:
            raise ApiError(404, f"The model {name!r} does not exist.", code="model_not_found", param="model")
        return self._models[name]

    def _open_charge(self, request: Request, request_id: str, completion: Completion, model: PricedModel) -> Charge:
        charge = Charge(
            book=self._charges,
            model=model,
            answered_as=completion.model,
            completion_id=completion.id,
            client_request_id=request.headers.get("x-client-request-id"),
            tier="standard" if completion.tier == "default" else completion.tier,
            usage=completion.usage(visible_tokens=0, reasoning_tokens=0),
        )
        self._charges.open(request_id, charge)
        return charge


async def _fail(asked_faults: Faults, status: int) -> None:
    await asyncio.sleep(asked_faults.delay)
    headers = {} if asked_faults.retry_after is None else {"retry-after": f"{asked_faults.retry_after:g}"}
    message = f"The sandbox provider was asked to answer {status}."
    raise ApiError(status, message, code=ERROR_CODES.get(status), headers=headers)


def _parse_body(request: Request) -> dict[str, Any]:
    if request.method != "POST":
        raise ApiError(405, f"Not allowed to {request.method} on /v1/chat/completions.", code="method_not_supported")
    _authenticate(request)
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise ApiError(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise ApiError(400, "The body of your request is not a JSON object.")
    return body


def _authenticate(request: Request) -> None:
    """Any credential will do except one of Spendra's own: that one must never leave it."""
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not key or key.startswith("spk_"):
        raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")


def _render_model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": completions.CREATED, "owned_by": "sandbox"}


def _render_request(request: Request) -> dict[str, Any]:
    """As it arrived, for tests of what leaves the gateway."""
    body = request.body.decode("utf-8", "replace")
    return {"method": request.method, "path": request.path, "headers": request.headers, "body": body}
