"""Runs `manage.py` roles as real processes and finds every process that came of them."""

import contextlib
import json
import os
import sys
import time
from pathlib import Path

from tests.roles.serving import ROOT, Process, body_of, exchange, request, status_of

TOKEN = "scrape-me"


class Role(Process):
    """`manage.py ROLE`; all descendants carry its mark in their environment, also those that lost their parent."""

    def __init__(self, folder, arguments, database_url):
        self.mark = f"SPENDRA_TEST_MARK={folder}"
        environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        name, value = self.mark.split("=")
        environment |= {
            "DATABASE_URL": database_url,
            "SPENDRA_METRICS_BEARER_TOKEN": TOKEN,
            "PYTHONUNBUFFERED": "1",
            name: value,
        }
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        super().__init__(command, folder / "stderr.txt", environment)

    def wait_for_error_line(self, text, seconds=30):
        """The first line on standard error that contains `text`."""
        deadline = time.monotonic() + seconds
        while True:
            for line in self.errors.splitlines():
                if text in line:
                    return line
            assert self.child.poll() is None or text in self.errors, f"it ended:\n{self.errors}"
            assert time.monotonic() < deadline, f"no line with {text!r} came:\n{self.errors}"
            time.sleep(0.05)

    def descendants(self):
        return [pid for pid in all_pids() if self.mark in environment_of(pid) and pid != self.pid]


@contextlib.contextmanager
def role(folder, database_url, *arguments):
    process = Role(folder, arguments, database_url)
    try:
        yield process
    finally:
        process.end()
        for pid in process.descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


def port_in(line):
    return int(line.split(" on ")[1].split(",")[0].rsplit(":", 1)[1])


def all_pids():
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def environment_of(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    return []


def command_of(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    return ""


def parent_of(pid):
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return 0


def eventually(condition, seconds=30):
    """The first true value of `condition()`."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            if value := condition():
                return value
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def get(port, path, *headers, host="localhost"):
    answer = exchange(port, request(path, host=host, headers=headers))
    return status_of(answer), body_of(answer)


def health(port):
    status, body = get(port, "/health")
    return status, json.loads(body)


def scrape(port):
    status, body = get(port, "/metrics", f"authorization: Bearer {TOKEN}")
    assert status == 200
    return body.decode()
