from datetime import UTC, datetime, timedelta

import pytest

from apps.audit.models import AuditRecord
from apps.keys import format as key_format
from apps.keys.issuing import issue
from apps.keys.models import Grant, Key
from apps.orgs import units
from spendra.kernel.errors import Invalid, NotFound
from tests.databases import Database
from tests.keys.building import make_key
from tests.orgs.building import ACTING, make_organization, make_unit


def test_the_key_is_known_to_its_receiver_alone(database: Database) -> None:
    acme = make_organization()
    issued = make_key(acme, grants=["gpt-4.1", "openai/gpt-4.1", "anthropic/*"])
    key_id, secret = key_format.parse(issued.key)
    key = Key.objects.get()
    assert (key.key_id, bytes(key.secret_sha256)) == (key_id, key_format.secret_hash(secret))
    assert set(Grant.objects.values_list("pattern", flat=True)) == {"openai/gpt-4.1", "anthropic/*"}
    stored = " ".join(str(record.after) for record in AuditRecord.objects.all())
    assert secret not in stored
    assert key_id in stored


def test_a_key_outside_production_says_so(database: Database) -> None:
    assert make_key(make_organization()).key.startswith("spk_test_")


def test_a_key_without_grants_can_be_issued(database: Database) -> None:
    assert make_key(make_organization()).record.grants.count() == 0


def test_everything_about_a_key_is_kept(database: Database) -> None:
    acme = make_organization()
    project = make_unit(acme, "Atlas", kind="project")
    key = issue(
        organization=acme,
        actor=make_unit(acme, "bot"),
        project=project,
        environment_label="production",
        expires_in=timedelta(days=30),
        max_reservation_nanos=1_500_000_000,
        default_output_tokens=500,
        acting=ACTING,
    ).record
    key.refresh_from_db()
    assert (key.project, key.environment_label, key.default_output_tokens) == (project, "production", 500)
    assert key.expires_at is not None
    assert timedelta(days=29, hours=23) < key.expires_at - datetime.now(UTC) <= timedelta(days=30)
    record = AuditRecord.objects.get(action="keys.issue")
    assert record.after is not None
    assert (record.actor, record.object_id, record.after["max_reservation_nanos"]) == (ACTING, key.key_id, "1500000000")


def test_what_cannot_be_is_refused_and_leaves_nothing(database: Database) -> None:
    acme = make_organization()
    bot = make_unit(acme, "bot")
    past = datetime(2020, 1, 1, tzinfo=UTC)
    for field, value, param in (
        ("grants", ["a b"], "grants"),
        ("environment_label", "prod", "environment_label"),
        ("expires_at", past, "expires_at"),
        ("expires_at", datetime(2999, 1, 1), "expires_at"),  # noqa: DTZ001
        ("expires_in", timedelta(0), "expires_at"),
        ("expires_in", timedelta(days=10**8), "expires_in"),
        ("max_reservation_nanos", 0, "max_reservation_nanos"),
        ("max_reservation_nanos", 10**15 + 1, "max_reservation_nanos"),
        ("default_output_tokens", 0, "default_output_tokens"),
        ("default_output_tokens", 2**31, "default_output_tokens"),
        ("project", bot, "project"),
    ):
        with pytest.raises(Invalid) as refusal:
            issue(organization=acme, actor=bot, acting=ACTING, **{field: value})
        assert refusal.value.param == param, refusal.value.message
    with pytest.raises(Invalid, match="not both"):
        issue(organization=acme, actor=bot, expires_at=past, expires_in=timedelta(1), acting=ACTING)
    assert not Key.objects.exists()
    assert not AuditRecord.objects.filter(action="keys.issue").exists()


def test_only_actors_that_are_not_archived_get_keys(database: Database) -> None:
    acme = make_organization()
    team, bot = make_unit(acme, "Data", kind="team"), make_unit(acme, "bot")
    with pytest.raises(Invalid, match="team Data cannot be the actor"):
        issue(organization=acme, actor=team, acting=ACTING)
    units.archive(bot, organization=acme, acting=ACTING)
    with pytest.raises(Invalid, match="agent bot is archived"):
        issue(organization=acme, actor=bot, acting=ACTING)


def test_another_organizations_actor_or_project_is_not_found(database: Database) -> None:
    acme, globex = make_organization(), make_organization("globex")
    with pytest.raises(NotFound):
        issue(organization=acme, actor=make_unit(globex, "bot"), acting=ACTING)
    with pytest.raises(NotFound):
        issue(
            organization=acme,
            actor=make_unit(acme, "bot"),
            project=make_unit(globex, "Atlas", kind="project"),
            acting=ACTING,
        )


def test_issuing_moves_the_token_of_its_organization_alone(database: Database) -> None:
    acme, globex = make_organization(), make_organization("globex")
    make_unit(acme, "bot")
    watcher = database.connect()
    tokens = "SELECT id, token FROM budgets_governanceversion"
    before = dict(watcher.execute(tokens).fetchall())
    make_key(acme)
    after = dict(watcher.execute(tokens).fetchall())
    assert {organization for organization in after if after[organization] != before[organization]} == {acme.id}
    assert globex.id in after
