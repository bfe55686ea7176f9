"""Links from one admin page to another."""

from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString


def list_link(view: str, sought: object, text: object) -> SafeString:
    """To the rows of a list in which a search finds `sought`."""
    return format_html('<a href="{}?{}">{}</a>', reverse(f"admin:{view}_changelist"), urlencode({"q": sought}), text)


def row_link(view: str, row_id: object, text: object) -> SafeString:
    """To the page of one row."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{view}_change", args=[row_id]), text)
