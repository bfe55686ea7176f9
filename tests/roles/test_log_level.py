"""SPENDRA_LOG_LEVEL is the least that a role tells."""

import pytest

from tests.roles.commands import role

NOWHERE = "postgresql://nobody@127.0.0.1:9/none"


@pytest.mark.parametrize(("level", "is_told"), [("", True), ("INFO", True), ("WARNING", False)])
def test_what_is_less_than_the_level_is_not_told(tmp_path, monkeypatch, level, is_told):
    monkeypatch.setenv("SPENDRA_LOG_LEVEL", level)
    with role(tmp_path, NOWHERE, "gateway", "--port", "0") as gateway:
        gateway.wait_for_error_line(" WARNING ")
        assert (" INFO " in gateway.errors) is is_told
