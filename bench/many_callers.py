"""Keys that callers spend with, in the company of `bench.many_rules`: one each for agents all over it, by the use case,
since nobody knows the secrets of those that were made in SQL. Prints them as one JSON list; acts on DATABASE_URL."""

import argparse
import json

import django

django.setup()

from apps.keys import issuing  # noqa: E402
from apps.keys.models import EnvironmentLabel  # noqa: E402
from apps.orgs.models import Organization, Unit  # noqa: E402

GRANTS = ("openai/*", "anthropic/claude-*")


def issue(slug: str, *, count: int) -> list[str]:
    organization = Organization.objects.get(slug=slug)
    agents = list(Unit.objects.filter(organization=organization, kind="agent", name__startswith="many ").order_by("id"))
    return [
        issuing.issue(
            organization=organization,
            actor=agent,
            grants=GRANTS,
            environment_label=EnvironmentLabel.PRODUCTION,
            acting="bench",
        ).key
        for agent in agents[:: len(agents) // count][:count]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--organization", required=True)
    parser.add_argument("--keys", type=int, required=True)
    asked = parser.parse_args()
    print(json.dumps(issue(asked.organization, count=asked.keys)))


if __name__ == "__main__":
    main()
