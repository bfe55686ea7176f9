"""Errors in OpenAI's shape."""

from collections.abc import Mapping

import orjson


class ApiError(Exception):
    """Answered as `{"error": {…}}` with its status; nothing was generated, so nothing is charged."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = headers or {}

    def body(self) -> bytes:
        return orjson.dumps(
            {"error": {"message": self.message, "type": self._type(), "param": self.param, "code": self.code}}
        )

    def _type(self) -> str:
        if self.status == 429:
            return "requests"
        return "server_error" if self.status >= 500 else "invalid_request_error"
