"""Starts the applications of served_applications.py and talks to them in raw bytes."""

import contextlib
import json
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Process:
    """A child whose standard output is waited for line by line; its standard error goes to a file."""

    def __init__(self, command, errors_path, env=None):
        self.errors_path = errors_path
        self.errors_file = errors_path.open("w")
        self.child = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=self.errors_file,
            text=True,
            cwd=ROOT,
            env=env,
            start_new_session=True,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with self.child.stdout as lines:
            for line in lines:
                self.lines.put(line.strip())

    @property
    def pid(self):
        return self.child.pid

    @property
    def errors(self):
        return self.errors_path.read_text()

    def wait_for(self, start, seconds=10):
        """The rest of the first line that begins with `start`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line {start!r} came; stderr:\n{self.errors}") from None
            if line.startswith(start):
                return line[len(start) :].strip()

    def terminate(self):
        self.child.send_signal(signal.SIGTERM)

    def exit_code(self, seconds=15):
        return self.child.wait(seconds)

    def end(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait(10)
        self.errors_file.close()


@contextlib.contextmanager
def serving(tmp_path, application, **options):
    """A running server; `.port` is its port."""
    script = ROOT / "tests" / "roles" / "served_applications.py"
    command = [sys.executable, str(script), json.dumps({"application": application, **options})]
    process = Process(command, tmp_path / "stderr.txt")
    try:
        process.port = int(process.wait_for("port"))
        process.wait_for("startup")
        wait_until_open(process.port) if not options.get("start_seconds") else None
        yield process
    finally:
        process.end()


def wait_until_open(port, seconds=10):
    deadline = time.monotonic() + seconds
    while not is_open(port):
        assert time.monotonic() < deadline, f"port {port} did not open"
        time.sleep(0.02)


def is_open(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


@contextlib.contextmanager
def connected(port, timeout=15):
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        yield connection


def read_to_end(connection):
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def exchange(port, data, timeout=15):
    """Sends bytes and returns all that comes until the server closes."""
    with connected(port, timeout) as connection:
        connection.sendall(data)
        return read_to_end(connection)


def request(path="/", *, method="GET", host="localhost", headers=(), body=b"", close=True):
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", *headers]
    if close:
        lines.append("connection: close")
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


def body_of(answer):
    return answer.split(b"\r\n\r\n", 1)[1]


def error_code_of(answer):
    return json.loads(body_of(answer))["error"]["code"]
