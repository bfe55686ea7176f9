"""A tap on a stream of server-sent events: the bytes pass as they came, and what they say about the price is kept."""

import re

from apps.gateway.answers import Answer, AnswerReader, is_usage_only, read_payload

MAX_EVENT_BYTES = 8 * 2**20

_BLANK_LINE = re.compile(rb"(?:\r\n?+|\n)(?:\r\n?+|\n)")
_LONGEST_BLANK_LINE = 4
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WITHOUT_CONTENT = (b":", b"event:", b"id:", b"retry:")


class SseTap:
    """Feed it every chunk and pass on what it returns; then `finish()` once, at the end or when the stream broke.

    With `hide_usage` the usage chunk, for which the client had not asked, is taken out. For that a chunk's last event
    is held until it is whole; a client can't use it before either. An event that grows beyond MAX_EVENT_BYTES ends the
    reading, not the passing on.
    """

    def __init__(self, *, hide_usage: bool) -> None:
        self._hide_usage = hide_usage
        self._reader = AnswerReader()
        self._pending = bytearray()  # the event that is not whole yet
        self._searched = 0  # how much of it is known to hold no blank line
        self._ended_in_cr = False  # the event before ended so: a line feed now is its last byte
        self._passed_last = True
        self._is_done = False
        self._is_blind = False
        self.has_seen_events = False

    @property
    def answer(self) -> Answer:
        return self._reader.answer(is_complete=self._is_done)

    def feed(self, chunk: bytes) -> bytes:
        if not chunk:
            return b""
        if self._is_blind:
            self._reader.content_bytes += len(chunk)
            return chunk
        self._pending += chunk
        passed = self._take_whole_events()
        if len(self._pending) > MAX_EVENT_BYTES:
            passed += self._stop_reading()
        return passed if self._hide_usage else chunk

    def finish(self) -> bytes:
        rest = bytes(self._pending)
        self._pending.clear()
        passes = self._read(rest)
        return rest if passes and self._hide_usage else b""

    def _take_whole_events(self) -> bytes:
        pending, passed = self._pending, []
        start = int(self._ended_in_cr and pending.startswith(b"\n"))
        if start and self._passed_last:
            passed.append(b"\n")
        while (end := _event_end(pending, max(start, self._searched))) != -1:
            event = bytes(pending[start:end])
            start = end
            self._passed_last = self._read(event)
            if self._passed_last:
                passed.append(event)
        self._ended_in_cr = start == len(pending) and pending.endswith(b"\r")
        del pending[:start]
        self._searched = max(0, len(pending) - _LONGEST_BLANK_LINE + 1)
        return b"".join(passed)

    def _stop_reading(self) -> bytes:
        self._is_blind = self.has_seen_events = True  # what comes may well be events
        self._reader.lose_sight()
        self._reader.content_bytes += len(self._pending)
        rest = bytes(self._pending)
        self._pending.clear()
        return rest

    def _read(self, event: bytes) -> bool:
        """Keep what the event says; True if it is to be passed on."""
        payload = read_payload(event[5:]) if event.startswith(b"data: {") else None  # one line, as nearly always
        data = b"" if payload else _data(event)
        payload = payload or read_payload(data)
        if payload is None:
            self._read_other(event, data)
            return True
        self.has_seen_events = True
        self._reader.read(payload)
        return not (self._hide_usage and is_usage_only(payload))

    def _read_other(self, event: bytes, data: bytes) -> None:
        """What can't be read may be content, as where a provider answers a stream with one whole JSON."""
        if data == b"[DONE]":
            self._is_done = self.has_seen_events = True
        else:
            lines = event.removeprefix(_BYTE_ORDER_MARK).splitlines()
            self._reader.content_bytes += sum(len(line) for line in lines if not line.startswith(_WITHOUT_CONTENT))


def _event_end(pending: bytearray, start: int) -> int:
    """The end of the blank line that ends an event, or -1. Found by its bytes where only line feeds end lines."""
    line_feeds = pending.find(b"\n\n", start)
    if pending.find(b"\r", start, line_feeds if line_feeds != -1 else len(pending)) == -1:
        return line_feeds + 2 if line_feeds != -1 else -1
    blank_line = _BLANK_LINE.search(pending, start)
    return blank_line.end() if blank_line else -1


def _data(event: bytes) -> bytes:
    """The value of the event's data fields, joined by line feeds; without comments and other fields."""
    lines = event.removeprefix(_BYTE_ORDER_MARK).splitlines()
    return b"\n".join(line[5:] for line in lines if line.startswith(b"data:")).strip()
