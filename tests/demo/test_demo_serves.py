"""A demo that serves says where, writes it down for its owner alone, and ends with everything that it started."""

import os
import signal
import stat
from pathlib import Path

import httpx

from tests.databases import Database
from tests.demo.demos import serving_demo, starting_demo


def test_what_it_wrote_down_works_and_ctrl_c_ends_every_process(database: Database, tmp_path: Path) -> None:
    with serving_demo(tmp_path / "demo", DATABASE_URL=database.url) as demo:
        for name in ("demo.json", "demo.env"):
            assert stat.S_IMODE((demo.folder / name).stat().st_mode) == 0o600
        described = demo.described
        assert set(described) == {
            *("gateway_url", "dashboard_url", "sandbox_url", "database_url"),
            *("organization", "key", "metrics_token", "sign_in"),
        }
        assert described["database_url"] == database.url
        with httpx.Client(trust_env=False, timeout=10) as client:
            assert client.get(f"{described['gateway_url']}/health").status_code == 200
            assert client.get(f"{described['dashboard_url']}/health").status_code == 200
            assert client.get(f"{described['sandbox_url']}/charges").json()["requests"] == 2
            metrics_headers = {"authorization": f"Bearer {described['metrics_token']}"}
            assert client.get(f"{described['gateway_url']}/metrics", headers=metrics_headers).status_code == 200
            key_headers = {"authorization": f"Bearer {described['key']}"}
            models = client.get(f"{described['gateway_url']}/v1/models", headers=key_headers)
            assert "gpt-4.1-mini" in models.text
        assert str(described["dashboard_url"]) in demo.output()
        assert described["key"] in demo.output()
        processes = demo.processes()
        assert len(processes) >= 5
        # As a terminal does it: every process of the foreground group gets the signal.
        os.killpg(demo.process.pid, signal.SIGINT)
        assert demo.ends(processes) == 0


def test_a_review_that_a_refusal_links_to_opens_on_the_dashboard(database: Database, tmp_path: Path) -> None:
    with serving_demo(tmp_path / "demo", DATABASE_URL=database.url) as demo:
        rule = ("--kind", "review", "--rule", '{"above_usd": "0"}', "--state", "active")
        demo.manage("policy_set", "--organization", "acme", "--name", "everything", *rule)
        described = demo.described
        with httpx.Client(trust_env=False, timeout=10) as client:
            refusal = client.post(
                f"{described['gateway_url']}/v1/chat/completions",
                headers={"authorization": f"Bearer {described['key']}"},
                json={"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}]},
            )
            link = refusal.json()["error"]["spendra"]["link"]
            page = client.get(link)
        assert link.startswith(str(described["dashboard_url"]))
        assert page.status_code == 302
        assert page.headers["location"].startswith("/admin/login/")


def test_a_role_that_dies_ends_the_demo_with_its_name_and_its_last_lines(database: Database, tmp_path: Path) -> None:
    with serving_demo(tmp_path / "demo", DATABASE_URL=database.url) as demo:
        processes = demo.processes()
        dashboard = next(pid for pid, command in processes.items() if "manage.py dashboard" in command)
        os.kill(dashboard, signal.SIGKILL)
        assert demo.ends(processes) == 1
        said = demo.output()
        assert f"The dashboard was ended by signal 9. The last lines of {demo.folder}/logs/dashboard.log:" in said
        assert "Listening on" in said.rpartition("dashboard.log")[2]


def test_a_signal_while_it_starts_leaves_nothing_and_is_no_success(database: Database, tmp_path: Path) -> None:
    with starting_demo(tmp_path / "demo", DATABASE_URL=database.url) as demo:
        demo.wait_until(lambda: any("manage.py gateway" in command for command in demo.processes().values()))
        processes = demo.processes()
        demo.process.send_signal(signal.SIGTERM)
        assert demo.ends(processes) == 128 + signal.SIGTERM
        assert not (demo.folder / "demo.json").exists()
