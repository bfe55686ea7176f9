import pytest

from apps.audit.models import AuditRecord
from apps.orgs import units
from spendra.kernel.errors import Invalid
from tests.databases import Database
from tests.orgs.building import ACTING, make_organization, make_unit


def test_a_unit_is_archived_once_and_comes_back_once(database: Database) -> None:
    acme = make_organization()
    agent = make_unit(acme, "bot")
    first, second = (units.archive(agent, organization=acme, acting=ACTING) for _ in range(2))
    assert first.archived_at == second.archived_at is not None
    for _ in range(2):
        assert units.restore(agent, organization=acme, acting=ACTING).archived_at is None
    actions = AuditRecord.objects.filter(object_id=str(agent.id)).order_by("at").values_list("action", flat=True)
    assert list(actions) == ["orgs.create_unit", "orgs.archive_unit", "orgs.restore_unit"]


def test_a_unit_that_others_belong_to_is_not_archived(database: Database) -> None:
    acme = make_organization()
    team = make_unit(acme, "Data", kind="team")
    agent = make_unit(acme, "bot", parents=[team])
    with pytest.raises(Invalid, match="1 units still belong to the team Data"):
        units.archive(team, organization=acme, acting=ACTING)
    units.archive(agent, organization=acme, acting=ACTING)
    units.archive(team, organization=acme, acting=ACTING)
    with pytest.raises(Invalid, match="team Data is archived"):
        units.restore(agent, organization=acme, acting=ACTING)


def test_nothing_new_belongs_to_an_archived_unit(database: Database) -> None:
    acme = make_organization()
    team, other = make_unit(acme, "Data", kind="team"), make_unit(acme, "Ops", kind="team")
    units.archive(team, organization=acme, acting=ACTING)
    with pytest.raises(Invalid, match="is archived"):
        make_unit(acme, "bot", parents=[team])
    with pytest.raises(Invalid, match="is archived"):
        units.move(other, organization=acme, parents=[team], acting=ACTING)
    with pytest.raises(Invalid, match="restore it first"):
        units.move(team, organization=acme, parents=[other], acting=ACTING)
