"""Every refusal reaches the client in OpenAI's shape, with a status and headers that SDKs act on rightly."""

import json
from typing import Any

import httpx
import openai
import pytest

from apps.gateway.errors import answer, answer_unexpected, stream_event
from spendra.kernel import errors


def answered(error: errors.SpendraError) -> tuple[int, dict[str, str], dict[str, Any]]:
    status, headers, body = answer(error, "req-1")
    named = {name.decode(): value.decode() for name, value in headers}
    assert len(named) == len(headers)
    assert named["content-length"] == str(len(body))
    assert named["x-request-id"] == "req-1"
    return status, named, json.loads(body)["error"]


def test_an_answer_has_openais_shape_and_our_details() -> None:
    details = {"rule": "b1", "cap": "1500000000", "resets_at": None}
    status, headers, error = answered(errors.BudgetExceeded("The cap is reached.", details=details))
    assert (status, headers["content-type"], headers["x-should-retry"]) == (402, "application/json", "false")
    assert "retry-after" not in headers
    assert error == {
        "message": "The cap is reached.",
        "type": "insufficient_quota",
        "param": None,
        "code": "budget_exceeded",
        "spendra": details,
    }


def test_money_held_by_running_requests_is_worth_a_short_wait() -> None:
    status, headers, _ = answered(errors.BudgetInFlight("Held.", details={"retry_after_ms": 1500}))
    assert (status, headers["retry-after"], headers["retry-after-ms"]) == (429, "2", "1500")
    assert "x-should-retry" not in headers


@pytest.mark.parametrize(("asked", "sent"), [(0, "1"), (-5, "1"), (10**9, "60000"), (500, "500")])
def test_no_client_is_told_to_wait_for_more_than_a_minute(asked: int, sent: str) -> None:
    _, headers, _ = answered(errors.Busy("Busy.", details={"retry_after_ms": asked}))
    assert headers["retry-after-ms"] == sent
    assert 1 <= int(headers["retry-after"]) <= 60


def test_busy_says_when_to_come_back_without_being_told() -> None:
    status, headers, _ = answered(errors.Busy("Busy."))
    assert (status, headers["retry-after"]) == (503, "1")


def test_a_wrong_method_names_the_right_one() -> None:
    status, headers, _ = answered(errors.MethodNotAllowed("Use POST.", details={"allow": "POST"}))
    assert (status, headers["allow"]) == (405, "POST")


def test_a_parameter_at_fault_is_named() -> None:
    status, _, error = answered(errors.RequestMalformed("n is wrong.", param="n"))
    assert (status, error["param"], error["type"]) == (400, "n", "invalid_request_error")


@pytest.mark.parametrize(
    "kind",
    [
        errors.UpstreamUnreachable,
        errors.UpstreamBrokeOff,
        errors.UpstreamTimedOut,
        errors.UpstreamMalformed,
        errors.Busy,
        errors.Conflict,
    ],
)
def test_what_may_go_better_next_time_does_not_forbid_a_retry(kind: type[errors.SpendraError]) -> None:
    assert "x-should-retry" not in answered(kind("Try again."))[1]


def test_a_kind_of_error_that_a_room_adds_has_its_parents_status() -> None:
    class Taken(errors.Conflict):
        code = "taken"

    status, _, error = answered(Taken("Taken."))
    assert (status, error["code"]) == (409, "taken")


def test_a_fault_of_ours_says_nothing_but_the_request_id() -> None:
    status, headers, body = answer_unexpected("req-1")
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (500, "internal_error")
    assert "req-1" in error["message"]
    assert dict(headers)[b"x-request-id"] == b"req-1"


def test_an_error_in_a_stream_is_one_event_of_its_own() -> None:
    event = stream_event(errors.UpstreamTimedOut("The provider\nstopped."))
    assert event.startswith(b"\n\ndata: {"), "whatever came before is ended"
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 4
    assert json.loads(event[8:])["error"]["code"] == "upstream_timed_out"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.KeyRejected("No such key."), openai.AuthenticationError),
        (errors.ModelNotGranted("Not this model."), openai.PermissionDeniedError),
        (errors.ModelNotFound("No such model."), openai.NotFoundError),
        (errors.BudgetExceeded("The cap of team Search is reached."), openai.APIStatusError),
        (errors.BudgetInFlight("In flight."), openai.RateLimitError),
        (errors.Busy("Busy."), openai.InternalServerError),
    ],
)
def test_the_openai_client_shows_the_message(error: errors.SpendraError, expected: type[openai.APIStatusError]) -> None:
    status, headers, body = answer(error, "req-1")
    transport = httpx.MockTransport(lambda _: httpx.Response(status, headers=headers, content=body))
    client = openai.OpenAI(
        api_key="k", base_url="http://x/v1", max_retries=0, http_client=httpx.Client(transport=transport)
    )
    with pytest.raises(expected) as caught:
        client.chat.completions.create(model="m", messages=[])
    assert error.message in str(caught.value)
    assert (caught.value.code, caught.value.request_id) == (error.code, "req-1")


def test_the_openai_client_raises_an_error_in_mid_stream() -> None:
    content = stream_event(errors.UpstreamTimedOut("The provider stopped."))
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, content=content)
    )
    client = openai.OpenAI(api_key="k", base_url="http://x/v1", http_client=httpx.Client(transport=transport))
    with pytest.raises(openai.APIError, match=r"The provider stopped\."):
        list(client.chat.completions.create(model="m", messages=[], stream=True))
