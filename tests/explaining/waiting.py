"""Refusals are noted a moment after they were answered."""

import time
from uuid import UUID

import httpx

from apps.policies.models import Refusal


def request_id_of(answer: httpx.Response) -> UUID:
    return UUID(answer.headers["x-request-id"])


def noted(answer: httpx.Response, seconds: float = 5) -> Refusal:
    deadline = time.monotonic() + seconds
    while (refusal := Refusal.objects.filter(id=request_id_of(answer)).first()) is None:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)
    return refusal
