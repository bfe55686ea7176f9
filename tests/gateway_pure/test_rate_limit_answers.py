"""How the end of a rate's window reaches an SDK: a wait that it may sleep, and none that it should not."""

import pytest

from apps.gateway.errors import answer
from spendra.kernel.errors import RateLimited


def headers(seconds: int, measure: str = "requests") -> dict[str, str]:
    details = {
        "measure": measure, "cap": "60", "remaining": "0", "resets_in_seconds": seconds,
        "retry_after_ms": seconds * 1000,
    }  # fmt: skip
    status, head, _ = answer(RateLimited("The rate is used up.", details=details), "r")
    assert status == 429
    return {name.decode(): value.decode() for name, value in head}


@pytest.mark.parametrize("seconds", [1, 17, 60])
def test_a_wait_of_a_minute_at_most_is_left_to_the_sdk(seconds: int) -> None:
    said = headers(seconds)
    assert (said["retry-after"], said["retry-after-ms"]) == (str(seconds), str(seconds * 1000))
    assert "x-should-retry" not in said


@pytest.mark.parametrize("seconds", [61, 86_400])
def test_no_sdk_is_made_to_wait_for_longer_or_to_try_again_in_vain(seconds: int) -> None:
    said = headers(seconds)
    assert (said["retry-after"], said["x-should-retry"]) == ("60", "false")
    assert said["x-ratelimit-reset-requests"] == f"{seconds}s"


@pytest.mark.parametrize("measure", ["requests", "tokens"])
def test_the_rate_is_told_as_openai_does(measure: str) -> None:
    said = {name: value for name, value in headers(20, measure).items() if name.startswith("x-ratelimit")}
    assert said == {
        f"x-ratelimit-limit-{measure}": "60",
        f"x-ratelimit-remaining-{measure}": "0",
        f"x-ratelimit-reset-{measure}": "20s",
    }
