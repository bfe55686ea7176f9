"""What a caller whose request needs a review is told of it."""

import pytest
from django.urls import resolve

from apps.gateway.reviews import PAGE, referring_to
from spendra.kernel.errors import ReviewRequired

REFUSAL = ReviewRequired("The policy 'big ones' (version 1) asks for a review.", details={"version": 1})


def test_the_page_of_the_review_is_named_where_the_dashboard_is_known() -> None:
    said = referring_to("0198", REFUSAL, public_url="https://spendra.example.com/money")
    assert said.details["link"] == "https://spendra.example.com/money/admin/policies/review/0198/change/"
    assert said.details["link"] in said.message
    assert said.details["version"] == 1
    assert said.message.startswith("The policy 'big ones' (version 1) asks for a review. Review 0198")


@pytest.mark.parametrize(("review", "next_step"), [("0198", "Review 0198 was asked for"), (None, "Too many reviews")])
def test_without_a_page_it_is_named_all_the_same(review: str | None, next_step: str) -> None:
    said = referring_to(review, REFUSAL, public_url="")
    assert (said.details["review"], said.details["link"]) == (review, None)
    assert next_step in said.message


def test_the_page_is_one_of_the_dashboard() -> None:
    page = resolve(f"/{PAGE.format(id='0198')}", urlconf="spendra.urls_dashboard")
    assert page.view_name == "admin:policies_review_change"
