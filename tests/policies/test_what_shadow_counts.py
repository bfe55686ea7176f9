import json
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg

from apps.orgs.models import Organization
from apps.policies import lifecycle
from apps.policies.models import PolicyVersion
from apps.policies.queries import shadow_counts
from tests.commands.running import run, run_json
from tests.databases import Database
from tests.identity.signing_in import signed_in
from tests.orgs.building import make_organization
from tests.policies.building import make_draft, seen


def count(connection: psycopg.Connection, organization: Organization, *versions: UUID) -> None:
    counted = [
        {"version_id": str(version), "organization_id": str(organization.id), "asked": 5, "denied": 2, "for_review": 1}
        for version in versions
    ]
    connection.execute("SELECT policies_count_shadow_v1(%s::jsonb)", [json.dumps(counted)])


def in_shadow(organization: Organization, name: str) -> PolicyVersion:
    version = make_draft(organization, name)
    return lifecycle.to_shadow(version, **seen(version)).version


def test_gateways_add_up_what_a_version_would_have_said(database: Database) -> None:
    acme, globex = make_organization(), make_organization("globex")
    first, second = in_shadow(acme, "first").id, in_shadow(acme, "second").id
    connections = [database.connect() for _ in range(4)]
    with ThreadPoolExecutor(len(connections)) as gateways:
        list(gateways.map(lambda one: [count(one, acme, first, second) for _ in range(10)], connections[:2]))
        list(gateways.map(lambda one: [count(one, acme, second, first) for _ in range(10)], connections))
    counts = shadow_counts(acme)
    assert [(counts[id].asked, counts[id].denied, counts[id].for_review) for id in (first, second)] == [
        (300, 120, 60)
    ] * 2
    assert shadow_counts(globex) == {}


def test_what_was_counted_is_told(database: Database) -> None:
    acme = make_organization()
    version = in_shadow(acme, "cheap")
    page = f"/admin/policies/policyversion/{version.id}/change/"
    browser = signed_in()
    assert "nothing counted" in browser.get(page).content.decode()
    assert run_json("policy_list", "--organization", "acme")[0]["shadow"] is None
    count(database.connect(), acme, version.id)
    assert "of 5 requests it would have denied 2 and held back 1, from 20" in browser.get(page).content.decode()
    told = run_json("policy_list", "--organization", "acme")[0]["shadow"]
    assert (told["asked"], told["denied"], told["for_review"]) == (5, 2, 1)
    assert "in shadow, of 5 requests: 2 denied, 1 held back" in run("policy_list", "--organization", "acme")[1]
