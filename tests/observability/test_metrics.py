"""/metrics: what an operator alerts on, told only to who has the token, at a bounded number of series."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.databases import Database
from tests.gateway.company import Company, body, make_company
from tests.gateway.running import METRICS_TOKEN, RunningGateway
from tests.observability.conftest import started
from tests.observability.scraping import Series, growth, scrape
from tests.roles.commands import eventually


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", METRICS_TOKEN, f"Basic {METRICS_TOKEN}"])
def test_without_the_token_nothing_is_told(gateway: RunningGateway, header: str) -> None:
    answer = httpx.get(f"{gateway.url}/metrics", headers={"authorization": header} if header else {})
    assert answer.status_code in (401, 404)
    assert "spendra_gateway" not in answer.text


def test_requests_are_counted_by_how_they_ended(gateway: RunningGateway, company: Company) -> None:
    before = scrape(gateway)
    company.chat()
    company.chat(stream=True)
    company.chat(sandbox="status=500")
    company.chat(sandbox="malformed")
    company.chat(key="spk_test_wrong")
    company.chat(max_tokens=-1)
    company.chat(model="gpt-of-tomorrow")
    company.cap(1)
    company.chat()
    httpx.get(f"{gateway.url}/nowhere")
    company.wait_for_ends(4)
    grown = growth(before, scrape(gateway))
    counted = {name.split('"')[1]: n for name, n in grown.items() if name.startswith("spendra_gateway_requests_total")}
    assert counted == {
        "answered": 3,
        "upstream_malformed": 1,
        "key_rejected": 1,
        "request_malformed": 1,
        "model_not_found": 1,
        "budget_exceeded": 1,
        "route_not_found": 1,
    }
    endings = {name.split('"')[1]: n for name, n in grown.items() if name.startswith("spendra_gateway_endings_total")}
    assert endings == {"settled": 3, "voided": 1}


def test_every_stage_tells_how_long_it_took_and_how_large_its_batches_were(
    gateway: RunningGateway, company: Company
) -> None:
    before = scrape(gateway)
    threads = [threading.Thread(target=company.chat) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    company.wait_for_ends(5)
    grown = growth(before, scrape(gateway))
    assert grown["spendra_gateway_admission_seconds_count"] == 5
    assert grown["spendra_gateway_upstream_seconds_count"] == 5
    assert grown["spendra_gateway_reserve_batch_size_sum"] == 5
    assert grown["spendra_gateway_settle_batch_size_sum"] == 5
    for stage in ("admission", "upstream", "reserve", "settle"):
        assert 0 < grown[f"spendra_gateway_{stage}_seconds_sum"] < 30


def test_what_is_open_what_is_old_and_what_was_tried_again_is_told_within_a_heartbeat(
    database: Database, own_gateway: RunningGateway
) -> None:
    running, stuck = make_company(own_gateway.url), make_company(own_gateway.url)
    stuck.cap(10**12)
    stuck.chat()
    stuck.wait_for_ends(1)
    slow = threading.Thread(target=lambda: running.chat(sandbox="delay=7"))
    slow.start()
    with psycopg.connect(database.url) as holder:
        # A snapshot and a lock, both held for long.
        holder.execute("SELECT FROM budgets_period WHERE organization_id = %s FOR UPDATE", [stuck.organization.id])
        assert stuck.chat().status_code == 503
        told = eventually(lambda: _told(own_gateway), 15)
    slow.join()
    assert told["spendra_open_reservations"] == 1
    assert told["spendra_oldest_snapshot_seconds"] > 1
    assert told['spendra_gateway_batch_retries_total{cause="lock_wait"}'] >= 3, "asked again for a second"
    assert told["spendra_gateway_ready"] == 1
    assert told["spendra_gateway_settle_backlog"] == 0


def _told(gateway: RunningGateway) -> Series | None:
    series = scrape(gateway)
    return series if series["spendra_oldest_snapshot_seconds"] > 1 and series["spendra_open_reservations"] else None


def test_two_processes_are_one_to_whoever_asks(database: Database, own_gateway: RunningGateway) -> None:
    own_gateway.terminate()
    own_gateway.processes = 2
    own_gateway.start()
    company = make_company(own_gateway.url)
    for _ in range(20):
        assert company.chat().status_code == 200
    company.wait_for_ends(20)
    scraped = [scrape(own_gateway) for _ in range(6)]
    assert [series['spendra_gateway_requests_total{outcome="answered"}'] for series in scraped] == [20] * 6
    assert [series['spendra_gateway_endings_total{outcome="settled"}'] for series in scraped] == [20] * 6
    assert {f'spendra_gateway_ready{{process="{number}"}}' for number in (0, 1)} <= scraped[0].keys()


def test_two_processes_tell_what_is_true_of_the_database_once_and_sum_what_they_tried_again(
    database: Database, own_gateway: RunningGateway
) -> None:
    own_gateway.terminate()
    own_gateway.processes = 2
    own_gateway.start()
    running, stuck = make_company(own_gateway.url), make_company(own_gateway.url)
    stuck.cap(10**12)
    stuck.chat()
    stuck.wait_for_ends(1)
    slow = threading.Thread(target=lambda: running.chat(sandbox="delay=8"))
    slow.start()
    with psycopg.connect(database.url) as holder:
        holder.execute("SELECT FROM budgets_period WHERE organization_id = %s FOR UPDATE", [stuck.organization.id])
        with ThreadPoolExecutor(8) as callers:  # on a connection each, so that both processes meet the lock
            assert {answer.status_code for answer in callers.map(lambda _: stuck.chat(), range(8))} == {503}
        eventually(lambda: all(_told(own_gateway) for _ in range(6)), 15)
        scraped = [scrape(own_gateway) for _ in range(6)]
    slow.join()
    assert {series["spendra_open_reservations"] for series in scraped} == {1}
    [tried_again] = {series['spendra_gateway_batch_retries_total{cause="lock_wait"}'] for series in scraped}
    assert tried_again >= 3
    told_apart = {name.partition("{")[0] for name in scraped[0] if "process=" in name}
    assert not told_apart & {"spendra_open_reservations", "spendra_oldest_snapshot_seconds"}
    assert "spendra_gateway_batch_retries_total" not in told_apart
    assert "spendra_gateway_settle_backlog" in told_apart


def test_whether_it_is_ready_is_told_though_nobody_asks_for_its_health(database: Database, tmp_path: Path) -> None:
    with started(database.url, tmp_path) as gateway:
        assert scrape(gateway)["spendra_gateway_ready"] == 1
        with psycopg.connect(database.url) as connection:
            connection.execute("DELETE FROM django_migrations WHERE app = 'budgets' AND name = '0001_initial'")
        eventually(lambda: scrape(gateway)["spendra_gateway_ready"] == 0, 15)


def test_an_ending_behind_a_lock_shows_its_age_and_leaves_the_process_ready(
    database: Database, own_gateway: RunningGateway
) -> None:
    stuck, other = make_company(own_gateway.url), make_company(own_gateway.url)
    slow = threading.Thread(target=lambda: stuck.chat(sandbox="delay=1"))
    slow.start()
    eventually(stuck.reservations)
    with psycopg.connect(database.url) as holder:
        holder.execute("SELECT FROM budgets_reservation WHERE state = 'open' FOR UPDATE")
        slow.join()
        assert other.chat().status_code == 200
        name = 'spendra_gateway_settle_backlog_seconds{state="%s"}'
        told = eventually(lambda: (s := scrape(own_gateway)).get(name % "stuck", 0) > 1 and s, 15)
        assert told[name % "moving"] < 1
        assert told["spendra_gateway_settle_backlog"] == 1
        assert told["spendra_gateway_ready"] == 1
        assert httpx.get(f"{own_gateway.url}/health").status_code == 200
    stuck.wait_for_ends(1)
    eventually(lambda: scrape(own_gateway)[name % "stuck"] == 0, 15)


def test_what_clients_send_makes_no_series(gateway: RunningGateway, company: Company) -> None:
    company.chat(model="model-of-before")
    company.chat(key="spk_test_of-before")
    for path, method in (("/of-before", "GET"), ("/v1/models", "BEFORE")):
        httpx.request(method, f"{gateway.url}{path}")
    before = scrape(gateway)
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {company.key}"}) as client:
        for number, ask in zip(range(200), itertools.cycle(range(4)), strict=False):
            if ask == 0:
                client.post("/v1/chat/completions", json=body(model=f"model-{number}"))
            elif ask == 1:
                client.get(f"/v1/path-{number}")
            elif ask == 2:
                client.request(f"METHOD-{number}", "/v1/models")
            else:
                client.post("/v1/chat/completions", json=body(), headers={"authorization": f"Bearer key-{number}"})
    assert scrape(gateway).keys() == before.keys()
