"""From an empty folder: two requests answered and settled; then the same data again; nothing survives the parent."""

import json
import signal
from pathlib import Path

from tests.demo.demos import run_demo, serving_demo


def test_a_round_from_an_empty_folder_is_proved_and_a_second_run_finds_its_data(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    ended = run_demo(folder, "--once")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    lines = ended.stdout.splitlines()
    assert lines[-1].startswith("Both were answered, reserved for, and settled at the exact catalog price")
    assert [line.split()[0] for line in lines if " USD, final;" in line] == ["plain", "streamed"]
    assert len([line for line in lines if "scope set    organization Acme, agent code-reviewer" in line]) == 2
    secrets = _secrets(folder)

    with serving_demo(folder, "--gateway-port", "14977", "--dashboard-port", "14978") as demo:
        assert demo.described["gateway_url"] == "http://127.0.0.1:14977"
        assert _secrets(folder) == secrets
        entries = json.loads(demo.manage("ledger_list", "--organization", "acme", "--json"))
        assert [entry["status"] for entry in entries] == ["final"] * 4
        demo.manage("ledger_verify")
        processes = demo.processes()
        assert any("postgres" in command for command in processes.values())
        demo.process.kill()
        assert demo.ends(processes) == -signal.SIGKILL


def _secrets(folder: Path) -> list[str]:
    kept = ("SPENDRA_SECRET_KEY=", "SPENDRA_METRICS_BEARER_TOKEN=")
    return [line for line in (folder / "demo.env").read_text().splitlines() if line.startswith(kept)]
