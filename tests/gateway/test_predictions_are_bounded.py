"""Rejected predictions are billed as output beyond every limit, so no default of ours bounds them."""

from tests.gateway.company import Company


def test_a_prediction_reserves_the_models_own_maximum(company: Company) -> None:
    key = company.another_key(default_output_tokens=16).key
    prediction = {"type": "content", "content": "hello"}
    for max_tokens in (2000, None):
        assert company.chat(key=key, max_tokens=max_tokens, prediction=prediction).status_code == 200
    for reservation in company.wait_for_ends(2):
        assert reservation.amount_tokens > 30_000
