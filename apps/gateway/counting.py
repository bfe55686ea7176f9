"""Exact token counts, for requests that the cheap bound would refuse. Off the event loop, and never much of it at once:
who has nothing left must not buy processor time with large requests."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from apps.catalog import estimating
from apps.catalog.types import CatalogEntry
from apps.gateway.parsing import ChatRequest

MAX_COUNTED_BYTES = 2**20
MOST_AT_ONCE = 8


class ExactCounter:
    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokens")
        self._under_way = 0

    async def count(self, request: ChatRequest, entry: CatalogEntry) -> int | None:
        """The tokens of the input, as the model's own tokenizer counts them; None where the bound has to do."""
        if len(request.body) > MAX_COUNTED_BYTES or self._under_way >= MOST_AT_ONCE:
            return None
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, estimating.exact_input_tokens, request.texts(), request.facts, entry
            )
        finally:
            self._under_way -= 1
