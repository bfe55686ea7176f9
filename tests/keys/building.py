from collections.abc import Sequence
from typing import Any

from apps.keys.issuing import IssuedKey, issue
from apps.orgs.models import Organization
from apps.orgs.units import find_or_create_actor
from tests.orgs.building import ACTING


def make_key(organization: Organization, actor: str = "bot", *, grants: Sequence[str] = (), **fields: Any) -> IssuedKey:
    unit = find_or_create_actor(organization=organization, name=actor, acting=ACTING)
    return issue(organization=organization, actor=unit, grants=grants, acting=ACTING, **fields)
