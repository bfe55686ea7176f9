from typing import Any

from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from apps.catalog import loading


def load_image_bundle_after_migrating(*, using: str, **_: Any) -> None:
    """Every `migrate` brings in the bundle of the image that runs it, once: a data migration would load one bundle for
    ever, with the tables as they were then. Not after migrating to some earlier state, whose tables may differ."""
    executor = MigrationExecutor(connections[using])
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        loading.load_image_bundle()
