"""A body that two parsers could read differently, or that sets no price, is refused before anything is reserved."""

import pytest

from tests.bad_input.asking import MESSAGES, PROMPT, ask, chat, must_refuse
from tests.gateway.company import MODEL, Company
from tests.gateway.conftest import Sandbox

DEEP = b"[" * 300 + b"]" * 300
ENOUGH = f'"model": "{MODEL}", "messages": {MESSAGES}'.encode()

MALFORMED = {
    "nothing": (b"", "JSON object"),
    "spaces": (b"   ", "JSON object"),
    "half an object": (b"{" + ENOUGH, "not valid JSON"),
    "single quotes": (b"{'model': 'x'}", "not valid JSON"),
    "a trailing comma": (b"{" + ENOUGH + b",}", "not valid JSON"),
    "two objects": (b"{" + ENOUGH + b"}{}", "not valid JSON"),
    "an array": (b"[" + ENOUGH[9:12] + b"]", "JSON object"),
    "null": (b"null", "JSON object"),
    "a text": (b'"hello"', "JSON object"),
    "a form": (b"model=x&messages=y", "JSON object"),
    "NaN": (chat('"temperature": NaN'), "not valid JSON"),
    "Infinity": (chat('"temperature": -Infinity'), "not valid JSON"),
    "a number like 007": (chat('"max_tokens": 007'), "not valid JSON"),
    "a byte order mark": (b"\xef\xbb\xbf{" + ENOUGH + b"}", "byte order mark"),
    "UTF-16": (("{" + ENOUGH.decode() + "}").encode("utf-16"), "byte order mark"),
    "Latin-1": (chat('"user": "café"').decode().encode("latin-1"), "UTF-8"),
    "a cut character": (chat('"user": "x"').replace(b"x", b"\xe2\x82"), "UTF-8"),
    "an overlong character": (chat('"user": "x"').replace(b'"x"', b'"\xc0\xaf"'), "UTF-8"),
    "a surrogate as bytes": (chat('"user": "x"').replace(b'"x"', b'"\xed\xa0\x80"'), "UTF-8"),
    "half a surrogate pair": (chat(r'"user": "\ud800"'), "surrogate"),
    "the other half": (chat(r'"user": "\udc00 x"'), "surrogate"),
    "NUL as a byte": (chat('"user": "\0"'), "not valid JSON"),
    "NUL escaped": (chat(r'"user": "a\u0000b"'), "NUL"),
    "deep nesting": (chat('"metadata": ' + DEEP.decode()), "nested"),
    "very deep nesting": (b"{" + ENOUGH + b', "metadata": ' + b"[" * 90_000 + b"]" * 90_000 + b"}", ""),
    "two models": (chat('"model": "gpt-4.1-nano"'), "twice"),
    "two models, one escaped": (chat(r'"\u006dodel": "gpt-4.1-nano"'), "twice"),
    "two output limits": (chat('"max_tokens": 1, "max_tokens": 100000'), "twice"),
    "two lists of messages": (chat('"messages": []'), "twice"),
    "two ns": (chat('"n": 1, "n": 100'), "twice"),
    "a key twice in a message": (
        f'{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "a", "content": "b"}}]}}'.encode(),
        "twice",
    ),
}


@pytest.mark.parametrize(("body", "says"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(company: Company, body: bytes, says: str) -> None:
    must_refuse(ask(company, body), 400, "request_malformed", says)
    assert company.reservations() == []


WRONG = {
    **{f"max_tokens {value}": (f'"max_tokens": {value}', "max_tokens") for value in ("-1", "0", "1.5", '"5"', "true")},
    **{f"max_tokens {value}": (f'"max_tokens": {value}', "max_tokens") for value in ("[]", "1e3", "1e999", "99999999")},
    "max_tokens of 2^64": (f'"max_tokens": {2**64}', "max_tokens"),
    "max_tokens of 30 digits": (f'"max_tokens": {10**30}', "max_tokens"),
    "max_tokens of 5000 digits": (f'"max_tokens": {"9" * 5000}', "max_tokens"),
    "max_completion_tokens -1": ('"max_completion_tokens": -1', "max_completion_tokens"),
    "both limits": ('"max_tokens": 5, "max_completion_tokens": 5', "max_tokens"),
    **{f"n {value}": (f'"n": {value}', "n") for value in ("0", "-1", "1000000", "129", "1.5", '"2"', "true")},
    "stream yes": ('"stream": "yes"', "stream"),
    "stream 1": ('"stream": 1', "stream"),
    "stream_options as a list": ('"stream_options": []', "stream_options"),
    "include_usage as text": ('"stream_options": {"include_usage": "no"}', "stream_options.include_usage"),
    "service_tier with spaces": ('"service_tier": "very fast"', "service_tier"),
    "service_tier as a number": ('"service_tier": 5', "service_tier"),
}


@pytest.mark.parametrize(("members", "param"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_named(company: Company, members: str, param: str) -> None:
    answer = ask(company, chat(members))
    must_refuse(answer, 400, "request_malformed")
    # A number beyond all bounds may be refused as no JSON at all.
    assert answer.error["param"] == param or "not valid JSON" in answer.error["message"]
    assert company.reservations() == []


MODELS = {
    "none": (f'{{"messages": {MESSAGES}}}', "model"),
    "null": (f'{{"model": null, "messages": {MESSAGES}}}', "model"),
    "a number": (f'{{"model": 5, "messages": {MESSAGES}}}', "model"),
    "empty": (f'{{"model": "", "messages": {MESSAGES}}}', "model"),
    "with a line break": (rf'{{"model": "gpt-4o\nx", "messages": {MESSAGES}}}', "model"),
    "with other letters": (f'{{"model": "gpt-4ö", "messages": {MESSAGES}}}', "model"),
    "endless": (f'{{"model": "{"g" * 5000}", "messages": {MESSAGES}}}', "model"),
    "no messages": (f'{{"model": "{MODEL}"}}', "messages"),
    "messages null": (f'{{"model": "{MODEL}", "messages": null}}', "messages"),
    "messages empty": (f'{{"model": "{MODEL}", "messages": []}}', "messages"),
    "messages as text": (f'{{"model": "{MODEL}", "messages": "{PROMPT}"}}', "messages"),
    "a message as text": (f'{{"model": "{MODEL}", "messages": ["{PROMPT}"]}}', "messages[0]"),
}


@pytest.mark.parametrize(("body", "param"), MODELS.values(), ids=MODELS.keys())
def test_model_and_messages_must_be_there(company: Company, body: str, param: str) -> None:
    answer = ask(company, body.encode())
    must_refuse(answer, 400, "request_malformed")
    assert answer.error["param"] == param
    assert company.reservations() == []


FALLBACKS = {
    "another": '["gpt-4.1-nano"]',
    "the one that is asked, then another": f'["{MODEL}", "gpt-4.1-nano"]',
    "the one that is asked, by its provider": f'["openai/{MODEL}"]',
    "one that nobody knows": '["gpt-of-tomorrow"]',
    "a text": f'"{MODEL}"',
    "an object": f'{{"{MODEL}": 1}}',
    "a list in the list": f'[["{MODEL}"]]',
    "null in the list": "[null]",
    "false": "false",
    "zero": "0",
}


@pytest.mark.parametrize("models", FALLBACKS.values(), ids=FALLBACKS.keys())
def test_models_to_fall_back_to_are_refused(company: Company, sandbox: Sandbox, models: str) -> None:
    """No grant, no rule and no price has looked at those."""
    before = sandbox.requests()
    answer = ask(company, chat(f'"max_tokens": 5, "models": {models}'))
    must_refuse(answer, 400, "request_malformed", "ask for one model")
    assert answer.error["param"] == "models"
    assert company.reservations() == []
    assert sandbox.requests() == before


@pytest.mark.parametrize("models", ["null", "[]", f'["{MODEL}"]', f'["{MODEL}", "{MODEL}"]'])
def test_models_that_name_no_other_pass_and_cost_no_more(company: Company, models: str) -> None:
    assert ask(company, chat(f'"max_tokens": 5, "models": {models}, "route": "fallback"')).status == 200
    assert ask(company, chat('"max_tokens": 5')).status == 200
    with_models, without = company.reservations()
    assert with_models.amount_nanos < 2 * without.amount_nanos


def test_more_values_than_a_request_can_need_are_413(company: Company) -> None:
    body = chat('"metadata": [' + "0," * 100_001 + "0]")
    must_refuse(ask(company, body), 413, "request_too_large", "values")
    assert company.reservations() == []


@pytest.mark.parametrize("number", ["9" * 30, "9" * 4000, "-" + "9" * 5000, "0." + "1" * 5000], ids=len)
def test_a_long_number_where_it_decides_nothing_is_the_providers_matter_or_refused(
    company: Company, number: str
) -> None:
    answer = ask(company, chat(f'"max_tokens": 5, "seed": {number}'))
    assert answer.status in (200, 400)
    assert answer.headers["x-request-id"]


def test_an_unknown_member_is_the_providers_matter(company: Company) -> None:
    assert ask(company, chat('"max_tokens": 5, "no_such_member": {"a": [1, {"b": null}]}')).status == 200
