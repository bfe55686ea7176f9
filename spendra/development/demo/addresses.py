"""Which ports the demo's roles take."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from spendra.development.demo.errors import DemoError
from spendra.development.embedded_postgres import ports
from spendra.roles import listening

HOST = "127.0.0.1"
_USUAL = {"gateway": 4000, "dashboard": 3000}


@dataclass(frozen=True)
class Addresses:
    gateway_port: int
    dashboard_port: int
    worker_port: int  # its /health and /metrics
    sandbox_port: int
    remarks: tuple[str, ...]  # on usual ports that somebody else has

    @property
    def gateway(self) -> str:
        return f"http://{HOST}:{self.gateway_port}"

    @property
    def dashboard(self) -> str:
        return f"http://{HOST}:{self.dashboard_port}"

    @property
    def worker(self) -> str:
        return f"http://{HOST}:{self.worker_port}"

    @property
    def sandbox(self) -> str:
        return f"http://{HOST}:{self.sandbox_port}"


def choose(*, gateway_port: int | None, dashboard_port: int | None, is_once: bool) -> Addresses:
    """The ports asked for, which must be free. Else the usual ones, or free ones where those are taken; for a single
    round free ones at once, so that it never meets a demo that serves."""
    remarks: list[str] = []
    chosen = {
        role: _demand(role, port) if port is not None else _free(role, remarks, is_once=is_once)
        for role, port in (("gateway", gateway_port), ("dashboard", dashboard_port))
    }
    if chosen["gateway"] == chosen["dashboard"]:
        raise DemoError(f"The gateway and the dashboard cannot share port {chosen['gateway']}.")
    others = _other_free_ports(set(chosen.values()))
    return Addresses(chosen["gateway"], chosen["dashboard"], next(others), next(others), tuple(remarks))


def _demand(role: str, port: int) -> int:
    if not 1 <= port <= 65535:
        raise DemoError(f"{port} is no port: --{role}-port takes 1 to 65535.")
    if refusal := _refusal(port):
        raise DemoError(f"--{role}-port: {refusal}")
    return port


def _free(role: str, remarks: list[str], *, is_once: bool) -> int:
    usual = _USUAL[role]
    if not is_once and _refusal(usual) is None:
        return usual
    port = ports.free_port()
    if not is_once:
        remarks.append(f"Port {usual} is in use, so the {role} is on {port}.")
    return port


def _refusal(port: int) -> str | None:
    try:
        with closing(listening.bind(HOST, port)):
            return None
    except listening.CannotListen as error:
        return str(error)


def _other_free_ports(taken: set[int]) -> Iterator[int]:
    while True:
        port = ports.free_port()
        if port not in taken:
            taken.add(port)
            yield port
