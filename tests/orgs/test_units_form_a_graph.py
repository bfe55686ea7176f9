import pytest

from apps.audit.models import AuditRecord
from apps.orgs import units
from apps.orgs.models import Unit, UnitEdge, UnitKind
from spendra.kernel.errors import Conflict, Invalid, NotFound
from tests.databases import Database
from tests.orgs.building import ACTING, make_organization, make_unit


def parents_of(unit: Unit) -> set[str]:
    return set(UnitEdge.objects.filter(child=unit).values_list("parent__name", flat=True))


def test_a_unit_belongs_to_several_others(database: Database) -> None:
    acme = make_organization()
    team, project = make_unit(acme, "Data", kind="team"), make_unit(acme, "Atlas", kind="project")
    agent = make_unit(acme, "bot", parents=[team, project, team])
    assert parents_of(agent) == {"Data", "Atlas"}
    record = AuditRecord.objects.filter(action="orgs.create_unit").latest("at")
    assert record.after == {"kind": "agent", "name": "bot", "parents": ["team:Data", "project:Atlas"]}


def test_parents_are_added_removed_and_replaced(database: Database) -> None:
    acme = make_organization()
    data, ops, atlas = (make_unit(acme, name, kind="team") for name in ("Data", "Ops", "Atlas"))
    agent = make_unit(acme, "bot", parents=[data])
    for _ in range(2):
        units.add_parent(agent, organization=acme, parent=ops, acting=ACTING)
    assert parents_of(agent) == {"Data", "Ops"}
    for _ in range(2):
        units.remove_parent(agent, organization=acme, parent=data, acting=ACTING)
    assert parents_of(agent) == {"Ops"}
    units.move(agent, organization=acme, parents=[atlas, data], acting=ACTING)
    assert parents_of(agent) == {"Atlas", "Data"}
    units.move(agent, organization=acme, parents=[], acting=ACTING)
    assert parents_of(agent) == set()
    actions = AuditRecord.objects.filter(object_id=str(agent.id)).order_by("at").values_list("action", flat=True)
    assert list(actions) == [
        "orgs.create_unit", "orgs.add_parent", "orgs.remove_parent", "orgs.move_unit", "orgs.move_unit",
    ]  # fmt: skip


def test_a_circle_is_refused_at_any_length(database: Database) -> None:
    acme = make_organization()
    chain = [make_unit(acme, "t0", kind="team")]
    for number in range(1, 40):
        chain.append(make_unit(acme, f"t{number}", kind="team", parents=[chain[-1]]))
    for below in (chain[1], chain[20], chain[-1]):
        with pytest.raises(Invalid, match="itself or lies below it"):
            units.add_parent(chain[0], organization=acme, parent=below, acting=ACTING)
    with pytest.raises(Invalid, match="itself or lies below it"):
        units.move(chain[5], organization=acme, parents=[chain[0], chain[5]], acting=ACTING)
    assert parents_of(chain[0]) == set()
    assert parents_of(chain[5]) == {"t4"}


def test_places_and_employees_belong_to_places_only(database: Database) -> None:
    acme = make_organization()
    agent = make_unit(acme, "bot")
    for kind in ("branch", "team", "project", "employee"):
        with pytest.raises(Invalid, match="belong to branches, teams and projects only"):
            make_unit(acme, "x", kind=kind, parents=[agent])


def test_agents_belong_to_anything(database: Database) -> None:
    acme = make_organization()
    everything = [make_unit(acme, f"the {kind}", kind=kind) for kind in UnitKind.values]
    for kind in ("agent", "subagent", "automation"):
        assert len(parents_of(make_unit(acme, "x", kind=kind, parents=everything))) == len(everything)


def test_a_name_that_cannot_be_is_refused(database: Database) -> None:
    acme = make_organization()
    for name in ("", " ", "a\nb", "a\0", "\ud800", "x" * 201, "team:Data", str(acme.id)):
        with pytest.raises(Invalid):
            make_unit(acme, name)


def test_a_name_is_taken_once_a_kind(database: Database) -> None:
    acme = make_organization()
    make_unit(acme, "bot")
    make_unit(acme, "bot", kind="team")
    with pytest.raises(Conflict, match="already has the agent 'bot'"):
        make_unit(acme, "bot")
    other = make_unit(acme, "robot")
    with pytest.raises(Conflict):
        units.rename(other, organization=acme, name="bot", acting=ACTING)
    assert units.rename(other, organization=acme, name="rob", acting=ACTING).name == "rob"


def test_a_kind_that_is_none_is_refused(database: Database) -> None:
    with pytest.raises(Invalid, match="no kind of unit"):
        make_unit(make_organization(), "x", kind="group")


def test_units_of_another_organization_are_not_found(database: Database) -> None:
    acme, globex = make_organization(), make_organization("globex")
    ours, theirs = make_unit(acme, "ours", kind="team"), make_unit(globex, "theirs", kind="team")
    with pytest.raises(NotFound):
        make_unit(acme, "x", parents=[theirs])
    for change in (units.add_parent, units.remove_parent):
        with pytest.raises(NotFound):
            change(ours, organization=acme, parent=theirs, acting=ACTING)
        with pytest.raises(NotFound):
            change(theirs, organization=acme, parent=ours, acting=ACTING)
    with pytest.raises(NotFound):
        units.move(theirs, organization=acme, parents=[], acting=ACTING)
    with pytest.raises(NotFound):
        units.rename(theirs, organization=acme, name="x", acting=ACTING)
    with pytest.raises(NotFound):
        units.archive(theirs, organization=acme, acting=ACTING)
    with pytest.raises(NotFound):
        units.restore(theirs, organization=acme, acting=ACTING)
