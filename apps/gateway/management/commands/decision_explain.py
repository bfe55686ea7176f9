from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError, CommandParser

from apps.gateway import explained, explained_past_words, explained_words
from apps.gateway.explaining import Like, explain
from apps.gateway.explaining_past import explain_past
from apps.gateway.parsing import MAX_OUTPUT_TOKENS
from apps.orgs.queries import organization_by_slug
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Explains what a request of a key would be answered now, or what a past one was, and by which rules."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--key", metavar="KEY_ID", help="What would a request of this key be answered now?")
        which.add_argument("--request", metavar="ID", help="Of a past request: its x-request-id or its reservation.")
        parser.add_argument("--model", help="With --key: as the client names it.")
        parser.add_argument("--provider", default="openai")
        parser.add_argument("--max-tokens", type=_tokens, metavar="N", help="The output limit; none where left out.")
        parser.add_argument("--input-tokens", type=_tokens, default=0, metavar="N", help="A short prompt's by default.")
        parser.add_argument(
            "--tool", action="append", default=[], metavar="TYPE", help="A hosted tool, such as web_search."
        )

    def perform(self, **options: Any) -> dict[str, Any]:
        organization = organization_by_slug(options["organization"])
        if options["request"] is not None:
            return explain_past(organization, options["request"])
        if not options["model"]:
            raise CommandError("--key needs the --model of the request.", returncode=2)
        like = Like(
            model=options["model"],
            provider=options["provider"],
            max_tokens=options["max_tokens"],
            input_tokens=options["input_tokens"],
            tools=tuple(options["tool"]),
        )
        return explained.told(explain(organization, key_id=options["key"], like=like))

    def describe(self, result: dict[str, Any]) -> str:
        if "request_id" in result:
            return explained_past_words.in_words(result)
        return explained_words.in_words(result)


def _tokens(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MAX_OUTPUT_TOKENS):
        raise ArgumentTypeError(f"{text!r} is no number of tokens: 1 to {MAX_OUTPUT_TOKENS:,}.")
    return int(text)
