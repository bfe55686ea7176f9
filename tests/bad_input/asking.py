"""Requests by the byte, and what an answer must be that refuses one."""

import json
from dataclasses import dataclass
from typing import Any

from tests.gateway.company import MODEL, Company
from tests.roles.serving import body_of, exchange, status_of

CHAT = "/v1/chat/completions"
PROMPT = "prompt-that-must-not-be-logged"
MESSAGES = f'[{{"role": "user", "content": "{PROMPT}"}}]'


@dataclass(frozen=True)
class Answer:
    raw: bytes

    @property
    def status(self) -> int:
        return status_of(self.raw)

    @property
    def headers(self) -> dict[str, str]:
        head = self.raw.split(b"\r\n\r\n", 1)[0].decode("latin-1")
        return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])

    @property
    def error(self) -> dict[str, Any]:
        return json.loads(body_of(self.raw))["error"]


def chat(body: str | bytes, *, model: str = MODEL) -> bytes:
    """A body: `body` stands for the members beside model and messages, or for all of it where it is bytes."""
    if isinstance(body, bytes):
        return body
    return f'{{"model": "{model}", "messages": {MESSAGES}, {body}}}'.encode()


def ask(
    company: Company,
    body: bytes = b"",
    *,
    method: str = "POST",
    path: str = CHAT,
    key: str | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request on a connection of its own. A header that is given as empty text is left out."""
    head = {
        "host": "gateway",
        "connection": "close",
        "authorization": f"Bearer {key or company.key}",
        "content-type": "application/json",
        "content-length": str(len(body)),
        **(headers or {}),
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items() if value)]
    return send(company, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)


def send(company: Company, data: bytes) -> Answer:
    return Answer(exchange(int(company.gateway_url.rpartition(":")[2]), data))


def must_refuse(answer: Answer, status: int, code: str, says: str = "") -> None:
    """In OpenAI's shape, with a sentence and an id to ask about."""
    assert (answer.status, answer.error["code"]) == (status, code), answer.raw
    assert answer.error.keys() == {"message", "type", "param", "code", "spendra"}
    assert answer.error["type"].endswith("error") or answer.error["type"] == "insufficient_quota"
    assert says in answer.error["message"], answer.error["message"]
    assert len(answer.error["message"].split()) >= 3, "not a sentence"
    assert PROMPT not in answer.raw.decode("utf-8", "replace")
    assert len(answer.headers["x-request-id"]) == 32
    if status != 408:
        assert answer.headers["x-should-retry"] == "false"
