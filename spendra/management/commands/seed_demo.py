from typing import Any

from django.core.management.base import CommandParser

from spendra.development import demo_data
from spendra.kernel.commands import JsonCommand
from spendra.kernel.errors import Invalid


class Command(JsonCommand):
    help = "Fills an empty database with Acme, a demo company, and shows a key and a sign-in for it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--allow-demo-data", action="store_true", help="Required: this database may hold it.")

    def perform(self, **options: Any) -> dict[str, object]:
        if not options["allow_demo_data"]:
            raise Invalid("Demo data does not belong into a real database. If this is none, add --allow-demo-data.")
        demo_data.refuse_real_database()
        seeded = demo_data.seed(acting="command:seed_demo")
        return {
            "organization": seeded.organization.slug,
            "key": seeded.key,
            "sign_in": {"email": seeded.sign_in_email, "password": seeded.password},
        }

    def describe(self, result: dict[str, Any]) -> str:
        sign_in = result["sign_in"]
        return (
            f"The organization {result['organization']} is there.\n"
            f"Key:     {result['key']}\n"
            f"Sign in: {sign_in['email']} with {sign_in['password']}"
        )
