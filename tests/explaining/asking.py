"""The command, and a live explanation of the very request that a company sends."""

import io
import json
from typing import Any

from django.core.management import call_command

from tests.gateway.company import MODEL, Company


def run(company: Company, *arguments: str, as_json: bool = True) -> Any:
    out = io.StringIO()
    call_command(
        "decision_explain",
        "--organization",
        company.organization.slug,
        *arguments,
        *(["--json"] if as_json else []),
        stdout=out,
    )
    return json.loads(out.getvalue()) if as_json else out.getvalue()


def live(company: Company, *, key_id: str = "", model: str = MODEL, more: tuple[str, ...] = (), **flags: Any) -> Any:
    """What `company.chat()` would be answered now: a body of 90 bytes and a message bound the input at 162 tokens."""
    arguments = ["--key", key_id or company.issued.record.key_id, "--model", model]
    for name, value in {"max_tokens": 16, **flags}.items():
        if value is not None:
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    return run(company, *arguments, *more)


def past(company: Company, request_id: object) -> Any:
    return run(company, "--request", str(request_id))
