"""The sandbox provider and Spendra's three roles, as child processes that are ready together."""

import time
from collections.abc import Mapping, Sequence

import httpx

from spendra.development.demo import environment
from spendra.development.demo.addresses import HOST
from spendra.development.demo.children import Child
from spendra.development.demo.errors import DemoError
from spendra.development.demo.folder import DemoFolder
from spendra.development.demo.running import Running
from spendra.development.sandbox_provider.serving import MODULE as SANDBOX

_READY_SECONDS = 60.0
_STOP_SECONDS = 6.0
_POLL_SECONDS = 0.1


class Roles:
    def __init__(self, folder: DemoFolder, running: Running) -> None:
        self._folder = folder
        self._addresses = running.addresses
        self._has_sandbox = running.provider.is_sandbox
        self._environment = environment.of_child(running.environment)
        self._children: list[Child] = []

    def start(self) -> None:
        """Returns once each of them answers that it is ready. DemoError where one ends or takes too long."""
        places, ready = self._addresses, {}
        if self._has_sandbox:
            self._start("sandbox provider", "-m", SANDBOX, "--port", str(places.sandbox_port))
            ready["sandbox provider"] = f"{places.sandbox}/charges"
        at = ("--host", HOST)
        self._start("gateway", "manage.py", "gateway", *at, "--port", str(places.gateway_port))
        self._start(
            "dashboard", "manage.py", "dashboard", *at, "--port", str(places.dashboard_port), "--metrics-port", "0"
        )
        self._start("worker", "manage.py", "worker", *at, "--metrics-port", str(places.worker_port))
        ready |= {"gateway": f"{places.gateway}/health", "dashboard": f"{places.dashboard}/health"}
        ready["worker"] = f"{places.worker}/health"
        self._wait_until_ready(ready)

    def _start(self, name: str, *arguments: str) -> None:
        log = self._folder.log(name.replace(" ", "-"))
        self._children.append(Child(name, arguments, environment=self._environment, log=log))

    def _wait_until_ready(self, urls: Mapping[str, str]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        with httpx.Client(trust_env=False, timeout=5) as client:
            for name, url in urls.items():
                while (reason := _not_ready(client, url)) is not None:
                    self.must_live()
                    if time.monotonic() > deadline:
                        raise DemoError(f"The {name} is not ready after {_READY_SECONDS:.0f} seconds: {reason}")
                    time.sleep(_POLL_SECONDS)

    def must_live(self) -> None:
        for child in self._children:
            child.must_live()

    def watch(self) -> None:
        """Until one of them ends by itself, which is a DemoError."""
        while True:
            self.must_live()
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """The provider last: a request that the gateway still drains needs it."""
        _stop([child for child in self._children if child.name != "sandbox provider"])
        _stop(self._children)


def _stop(children: Sequence[Child]) -> None:
    for child in children:
        child.terminate()
    deadline = time.monotonic() + _STOP_SECONDS
    for child in children:
        child.end_by(deadline)


def _not_ready(client: httpx.Client, url: str) -> str | None:
    try:
        answer = client.get(url)
    except httpx.HTTPError as error:
        return f"{type(error).__name__} at {url}"
    return None if answer.status_code == 200 else answer.text.strip()
