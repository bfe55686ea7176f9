"""OPENAI_API_KEY and OPENAI_BASE_URL name the provider that is called; the sandbox then stays out of it."""

import signal
from pathlib import Path

import httpx

from spendra.development.sandbox_provider.serving import sandbox_process
from tests.databases import Database
from tests.demo.demos import serving_demo


def test_the_named_provider_is_called_until_sigterm_ends_the_demo(database: Database, tmp_path: Path) -> None:
    with (
        sandbox_process() as provider,
        serving_demo(
            tmp_path / "demo",
            DATABASE_URL=database.url,
            OPENAI_API_KEY="sk-named",
            OPENAI_BASE_URL=f"{provider}/v1",
        ) as demo,
    ):
        assert httpx.get(f"{provider}/charges", trust_env=False).json()["requests"] == 2
        assert demo.described["sandbox_url"] is None
        assert "OPENAI_API_KEY=sk-named\n" in (demo.folder / "demo.env").read_text()
        assert "sk-named" not in demo.output()
        assert not (demo.folder / "logs" / "sandbox-provider.log").exists()
        processes = demo.processes()
        demo.process.send_signal(signal.SIGTERM)
        assert demo.ends(processes) == 0
