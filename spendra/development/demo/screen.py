"""What the demo says: a line a step while it starts, then a screen to keep."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from spendra.development.demo.running import Running
from spendra.kernel.money import format_usd

if TYPE_CHECKING:
    # Brings the OpenAI client, whose import takes longer than the first steps.
    from spendra.development.demo.proof import Proof

_CURL = """\
curl {url}/v1/chat/completions \\
  -H 'authorization: Bearer {key}' -H 'content-type: application/json' \\
  -d '{{"model": "gpt-4.1-mini", "messages": [{{"role": "user", "content": "Hello"}}]}}'
"""
_PYTHON = """\
from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key="{key}")
answer = client.chat.completions.create(model="gpt-4.1-mini", messages=[{{"role": "user", "content": "Hello"}}])
print(answer.choices[0].message.content)
"""


class Screen:
    def __init__(self, out: TextIO) -> None:
        self._out = out

    def say(self, text: str = "") -> None:
        print(text, file=self._out, flush=True)

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Says at once what is going on, and when it is done how long it took."""
        print(f"  {doing} ... ", end="", file=self._out, flush=True)
        begun = time.monotonic()
        try:
            yield
        except BaseException:
            self.say()
            raise
        self.say(f"{time.monotonic() - begun:.1f} s")

    def show_proof(self, proof: "Proof") -> None:
        entry, price = proof.entry, proof.price
        usage = ", ".join(f"{units} {name.replace('_', ' ')}" for name, units in _tokens(proof))
        lines = (
            f"{format_usd(entry.amount_nanos)} USD, {entry.status}; before the call "
            f"{format_usd(proof.reservation.amount_nanos)} USD were reserved",
            f"tokens       {entry.tokens} ({usage})",
            f"scope set    {', '.join(proof.scopes)}",
            f"reservation  {proof.reservation.id}, {proof.reservation.state}",
            f"price        {price.model}, version {price.version} of {price.effective_from:%Y-%m-%d}, "
            f"from the {price.source} of {price.source_date}",
        )
        self.say(f"\n  {proof.answered.title:<10} {lines[0]}")
        for line in lines[1:]:
            self.say(f"  {'':<10} {line}")

    def show_places(self, running: Running, folder: Path) -> None:
        provider, key = running.provider, running.data.key
        cost = "the sandbox: nothing costs money" if provider.is_sandbox else "every request costs money"
        rows = (
            ("Dashboard", f"{running.addresses.dashboard}/"),
            ("Sign in", f"{running.data.sign_in_email}   {running.data.password}"),
            ("Gateway", f"{running.addresses.gateway}/v1"),
            ("Key", key),
            ("Provider", f"{provider.base_url}   ({cost})"),
            ("Data, logs", shortened(folder)),
        )
        self.say("\nServing until Ctrl-C")
        for remark in running.addresses.remarks:
            self.say(remark)
        self.say()
        for name, value in rows:
            self.say(f"  {name:<12} {value}")
        self.say("\nFor a shell:\n")
        self.say(_CURL.format(url=running.addresses.gateway, key=key))
        self.say("For .venv/bin/python:\n")
        self.say(_PYTHON.format(url=running.addresses.gateway, key=key))


def shortened(path: Path) -> str:
    """As seen from where the person stands, if that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)


def _tokens(proof: "Proof") -> Sequence[tuple[str, int]]:
    return [(name, units) for name, units in proof.event.usage.items() if name not in {"request", "service_tier"}]
