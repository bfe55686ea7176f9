"""What leaves for Sentry: that something of ours failed and where, never what a caller sent."""

import gzip
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAULT = """
import logging
import django
django.setup()
prompt = "the-secret-prompt"
try:
    {}["missing"]
except KeyError:
    logging.getLogger("apps.gateway").exception("request 0123 failed")
import sentry_sdk
sentry_sdk.flush(5)
"""


def test_a_fault_is_told_without_the_values_of_variables() -> None:
    heard: list[bytes] = []

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Sink) as sink:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        environment = {
            **os.environ,
            "SENTRY_DSN": f"http://public@127.0.0.1:{sink.server_port}/1",
            "DJANGO_SETTINGS_MODULE": "spendra.settings.test",
            "HTTP_PROXY": "",
        }
        subprocess.run([sys.executable, "-c", FAULT], cwd=ROOT, env=environment, check=True, timeout=60)
        sink.shutdown()
    told = b"".join(_plain(body) for body in heard)
    assert b"request 0123 failed" in told
    assert b"the-secret-prompt" not in told


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
