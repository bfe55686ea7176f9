import os
import subprocess
import sys

import pytest

from tests.databases import ROOT

PRODUCTION = {
    "SPENDRA_ENV": "production",
    "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing",
    "SPENDRA_ALLOWED_ORIGINS": "https://spendra.example.com",
    "SPENDRA_METRICS_BEARER_TOKEN": "a-token-of-enough-length-for-metrics",
    "OPENAI_API_KEY": "sk-test",
    "SUPABASE_JWT_SECRET": "a-secret-of-enough-length-to-be-one",
}
START = "import django; django.setup()"


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "spendra.settings.gateway", **environment}
    return subprocess.run(
        [sys.executable, "-c", START], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("url", ["http://api.openai.com/v1", "https://10.0.0.5/v1"])
def test_production_does_not_start_with_a_base_url_that_needs_the_operators_word(url: str) -> None:
    refused = start(**PRODUCTION, OPENAI_BASE_URL=url)
    assert refused.returncode != 0
    assert f"OPENAI_BASE_URL: '{url}' cannot be a base URL" in refused.stderr


def test_it_starts_where_the_operator_lists_the_host_and_outside_production() -> None:
    listed = start(**PRODUCTION, OPENAI_BASE_URL="http://10.0.0.5/v1", SPENDRA_ALLOW_PRIVATE_UPSTREAMS="10.0.0.5")
    assert listed.returncode == 0, listed.stderr
    elsewhere = start(OPENAI_BASE_URL="http://127.0.0.1:8001/v1")
    assert elsewhere.returncode == 0, elsewhere.stderr
