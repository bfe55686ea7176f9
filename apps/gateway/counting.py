"""Exact token counts, for requests that the cheap bound would refuse. Off the event loop, and never much of it at once:
who has little left must not buy processor time with large requests."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from apps.catalog import estimating
from apps.catalog.types import CatalogEntry
from apps.gateway.parsing import ChatRequest
from spendra.kernel.errors import Busy

MAX_COUNTED_BYTES = 2**20
MOST_BYTES_WAITING = 4 * 2**20


class ExactCounter:
    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokens")
        self._bytes_waiting = 0

    async def count(self, request: ChatRequest, entry: CatalogEntry) -> int | None:
        """The tokens of the input, as the model's own tokenizer counts them; None where the bound has to do.

        Busy while too much waits to be counted: a refusal then would call final what is only not known yet.
        """
        size = len(request.body)
        if size > MAX_COUNTED_BYTES:
            return None
        if self._bytes_waiting + size > MOST_BYTES_WAITING:
            raise Busy("too many requests near a limit are waiting for their tokens to be counted; try again")
        self._bytes_waiting += size
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, estimating.exact_input_tokens, request.texts(), request.facts, entry
            )
        finally:
            self._bytes_waiting -= size
