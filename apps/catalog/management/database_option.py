"""`--database-url U`: the commands that carry a catalog between installations can name the database themselves."""

import dj_database_url
from django.core.management.base import CommandParser
from django.db import connection

from spendra.kernel.errors import Invalid

_POSTGRES = "django.db.backends.postgresql"


def add_database_url(parser: CommandParser) -> None:
    parser.add_argument("--database-url", metavar="U", help="The database to use instead of DATABASE_URL.")


def use_database(url: str | None) -> None:
    """Points the default connection of this process at the database; Invalid where the URL names no Postgres."""
    if url is None:
        return
    try:
        settings = dj_database_url.parse(url)
    except ValueError:
        settings = dj_database_url.DBConfig()
    if settings.get("ENGINE") != _POSTGRES or not settings.get("NAME"):
        # Not repeated here: it holds a password.
        raise Invalid("--database-url is not like postgresql://user:password@host:5432/name.")
    connection.close()
    connection.settings_dict.update(settings)
