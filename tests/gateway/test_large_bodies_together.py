"""Many large requests at once are refused for now, before they fill the memory; nothing is reserved for them."""

from typing import Any

from tests.crash.stage import beside, eventually
from tests.databases import Database
from tests.gateway.company import Company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway

LIMITS = {"SPENDRA_MAX_BODY_BYTES": "100000", "SPENDRA_MAX_BODIES_BYTES": "150000"}
LARGE: list[dict[str, Any]] = [{"role": "user", "content": "x" * 80_000}]


def test_a_large_request_beside_another_waits_until_that_one_is_answered(
    gateway: RunningGateway, sandbox: Sandbox, shared_database: Database, company: Company, tmp_path
) -> None:
    with RunningGateway(shared_database.url, sandbox.url, tmp_path / "log", environment=LIMITS) as small:
        company.gateway_url = small.url
        running = beside(lambda: company.chat(messages=LARGE, sandbox="delay=1.5"))
        eventually(company.reservations)
        refused = company.chat(messages=LARGE)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
        assert int(refused.headers["retry-after"]) <= 60
        assert company.chat().status_code == 200
        assert running.result().status_code == 200
        assert company.chat(messages=LARGE).status_code == 200
        assert len(company.wait_for_ends(3)) == 3


def test_a_stream_holds_its_body_only_until_the_provider_answers(
    gateway: RunningGateway, sandbox: Sandbox, shared_database: Database, company: Company, tmp_path
) -> None:
    with RunningGateway(shared_database.url, sandbox.url, tmp_path / "log", environment=LIMITS) as small:
        company.gateway_url = small.url
        answers = beside(lambda: company.chat(messages=LARGE, stream=True, sandbox="chunk-delay=0.1"))
        eventually(company.reservations)
        eventually(lambda: company.chat(messages=LARGE).status_code == 200, 1)
        assert not answers.done()
        assert answers.result().status_code == 200
