"""Reads of the catalog. The snapshot is read with plain SQL inside somebody else's transaction."""

from collections import defaultdict
from typing import Any
from uuid import UUID

import psycopg

from apps.catalog.models import CatalogModel
from apps.catalog.types import CatalogEntry, CatalogSnapshot, StoredVersion
from spendra.kernel.errors import NotFound

_MODELS = """
SELECT m.id, m.provider, m.name, m.context_window, m.max_output_tokens, a.aliases
FROM catalog_catalogmodel m
LEFT JOIN (SELECT model_id, array_agg(alias::text) AS aliases FROM catalog_modelalias GROUP BY model_id) a
    ON a.model_id = m.id
"""

# Left out: versions that a newer one has replaced for good, a day ago or more. The day is for callers whose idea of the
# database's clock is behind.
_VERSIONS = """
WITH clock AS MATERIALIZED (SELECT spendra_now_v1() - interval '1 day' AS yesterday)
SELECT v.model_id, v.id, v.organization_id, v.version, v.effective_from, p.lines
FROM catalog_priceversion v
JOIN (
    SELECT version_id,
        string_agg(concat_ws(' ', usage_class, context_over_tokens, nanos_per_million, service_tier), E'\\n') AS lines
    FROM catalog_price GROUP BY version_id
) p ON p.version_id = v.id
WHERE NOT EXISTS (
    SELECT FROM catalog_priceversion newer, clock
    WHERE newer.model_id = v.model_id AND newer.organization_id IS NOT DISTINCT FROM v.organization_id
        AND newer.version > v.version AND newer.effective_from <= greatest(v.effective_from, clock.yesterday)
)
ORDER BY v.model_id, v.version DESC
"""


def find_model(text: str) -> CatalogModel:
    """The model that a person means by `provider/name` or `provider/alias`; a bare one is OpenAI's. NotFound."""
    provider, slash, name = text.strip().partition("/")
    provider, name = (provider, name) if slash else ("openai", provider)
    models = CatalogModel.objects.filter(provider=provider) if text.isprintable() else CatalogModel.objects.none()
    found = models.filter(name=name).first() or models.filter(aliases__alias=name).first()
    if found is None:
        raise NotFound(f"The catalog does not know {text!r}. A bundle of catalog_import can bring it.", param="model")
    return found


def load_snapshot(cursor: psycopg.Cursor[Any]) -> CatalogSnapshot:
    """Every model with its prices, the catalog's and the organizations' own. Two statements.

    The caller's transaction is REPEATABLE READ, or the two may see different catalogs.
    """
    models = cursor.execute(_MODELS).fetchall()
    versions = _versions(cursor)
    aliases: dict[tuple[str, str], CatalogEntry] = {}
    names: dict[tuple[str, str], CatalogEntry] = {}
    for model_id, provider, name, context_window, max_output_tokens, other_names in models:
        entry = CatalogEntry(provider, name, context_window, max_output_tokens, tuple(versions.get(model_id, ())))
        names[provider, name] = entry
        aliases.update(((provider, alias), entry) for alias in other_names or ())
    return CatalogSnapshot(aliases | names)  # a name goes before an alias


def _versions(cursor: psycopg.Cursor[Any]) -> dict[UUID, list[StoredVersion]]:
    versions: dict[UUID, list[StoredVersion]] = defaultdict(list)
    for model_id, version_id, organization_id, number, effective_from, lines in cursor.execute(_VERSIONS):
        versions[model_id].append(StoredVersion(version_id, organization_id, number, effective_from, lines))
    return versions
