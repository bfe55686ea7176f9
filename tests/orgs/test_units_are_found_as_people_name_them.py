from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from django.db import connection

from apps.orgs import queries, units
from spendra.kernel.errors import Invalid, NotFound
from tests.databases import Database
from tests.orgs.building import ACTING, make_organization, make_unit


def test_a_unit_is_found_by_name_by_kind_and_name_and_by_id(database: Database) -> None:
    acme = make_organization()
    bot = make_unit(acme, "bot one")
    for text in ("bot one", " bot one ", "agent:bot one", str(bot.id)):
        assert queries.find_unit(acme, text) == bot


def test_a_name_of_several_units_is_refused_with_the_choices(database: Database) -> None:
    acme = make_organization()
    make_unit(acme, "atlas", kind="team")
    project = make_unit(acme, "atlas", kind="project")
    with pytest.raises(Invalid, match="Say which: project:atlas, team:atlas"):
        queries.find_unit(acme, "atlas")
    assert queries.find_unit(acme, "project:atlas") == project
    assert queries.find_unit(acme, "atlas", kinds=["project"]) == project


def test_what_is_not_there_is_not_found(database: Database) -> None:
    acme = make_organization()
    for text in ("", "nobody", "agent:nobody", "a\0b", "\ud800"):
        with pytest.raises(NotFound):
            queries.find_unit(acme, text)
        with pytest.raises(NotFound):
            queries.organization_by_slug(text)


def test_another_organizations_unit_is_not_found(database: Database) -> None:
    acme, globex = make_organization(), make_organization("globex")
    theirs = make_unit(globex, "bot")
    for text in ("bot", "agent:bot", str(theirs.id)):
        with pytest.raises(NotFound):
            queries.find_unit(acme, text)


def test_an_actor_is_made_where_there_is_none_and_found_where_there_is(database: Database) -> None:
    acme = make_organization()
    made, again, by_kind, by_reference = (
        units.find_or_create_actor(organization=acme, name=name, kind=kind, acting=ACTING)
        for name, kind in (("bot", None), ("bot", None), ("bot", "agent"), ("agent:bot", None))
    )
    assert made.kind == "agent"
    assert made == again == by_kind == by_reference
    employee = units.find_or_create_actor(organization=acme, name="employee:Ada", acting=ACTING)
    assert (employee.kind, employee.name) == ("employee", "Ada")


def test_callers_at_the_same_time_make_one_actor(database: Database) -> None:
    acme = make_organization()

    def find_or_create(_: int) -> UUID:
        try:
            return units.find_or_create_actor(organization=acme, name="bot", acting=ACTING).id
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(find_or_create, range(12)))) == 1


def test_an_actor_elsewhere_than_asked_is_refused(database: Database) -> None:
    acme = make_organization()
    team = make_unit(acme, "Data", kind="team")
    units.find_or_create_actor(organization=acme, name="bot", parents=[team], acting=ACTING)
    units.find_or_create_actor(organization=acme, name="bot", parents=[team], acting=ACTING)
    other = make_unit(acme, "Ops", kind="team")
    with pytest.raises(Invalid, match="belongs to other units"):
        units.find_or_create_actor(organization=acme, name="bot", parents=[other], acting=ACTING)


def test_an_actor_that_is_archived_ambiguous_or_no_actor_is_refused(database: Database) -> None:
    acme = make_organization()
    bot = make_unit(acme, "bot")
    units.archive(bot, organization=acme, acting=ACTING)
    with pytest.raises(Invalid, match="is archived"):
        units.find_or_create_actor(organization=acme, name="bot", acting=ACTING)
    make_unit(acme, "bot", kind="automation")
    with pytest.raises(Invalid, match="say its kind"):
        units.find_or_create_actor(organization=acme, name="bot", acting=ACTING)
    with pytest.raises(Invalid, match="no kind of actor"):
        units.find_or_create_actor(organization=acme, name="team:Data", acting=ACTING)
