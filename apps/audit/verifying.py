"""Proof that no audit record was changed, removed, added or moved past the database's refusal.

Reads only, beside any traffic: each statement has one snapshot, in which a record has its link or is not there at all.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

from apps.audit import signing
from apps.audit.models import AuditCheckpoint
from spendra.kernel.proofs import Difference, differences, rows

_CHUNK_SIZE = 20_000


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends, and up to where a checkpoint vouches for it (0: none does)."""

    chain_id: UUID
    place: int
    hash: str
    vouched_place: int
    signing_key: str
    is_as_vouched: bool  # the link at that place is still the one that was signed


def heads(chain_ids: Collection[UUID] | None = None) -> list[Head]:
    """Of these chains, or of all that there are; without reading more than one link of each."""
    wanted = None if chain_ids is None else list(chain_ids)
    return [Head(*row) for row in rows(_HEADS, {"wanted": wanted})]


def verify(chain_ids: Collection[UUID] | None = None) -> Iterator[Difference]:
    """Every link, record and checkpoint that does not fit the others; none means that the chain is whole. No lock."""
    for head in heads(chain_ids):
        yield from verify_links(head.chain_id)
        yield from _verify_checkpoints(head.chain_id)
    yield from _verify_records(chain_ids)


def verify_links(chain_id: UUID, *, after: int = 0) -> Iterator[Difference]:
    """The links of one chain from the one after a place on, each against its record and the link before."""
    while True:
        until = after + _CHUNK_SIZE
        parameters = {"chain": chain_id, "after": after, "until": until}
        yield from differences(_LINKS, parameters)
        [(is_last,)] = rows(_IS_LAST, parameters)
        if is_last:
            return
        after = until


def _verify_records(chain_ids: Collection[UUID] | None) -> Iterator[Difference]:
    wanted = None if chain_ids is None else list(chain_ids)
    first = UUID(int=0)
    while True:
        [(last,)] = rows(_CHUNK, {"first": first, "size": _CHUNK_SIZE})
        if last is None:
            return
        yield from differences(_RECORDS, {"first": first, "last": last, "wanted": wanted})
        first = last


def _verify_checkpoints(chain_id: UUID) -> Iterator[Difference]:
    checkpoints = AuditCheckpoint.objects.filter(chain_id=chain_id).order_by("place", "made_at", "id")
    newest = None
    for newest in checkpoints.iterator():
        if not signing.is_genuine(newest):
            yield Difference("checkpoint_signature", str(newest.id), "another", "one by our key over what it says")
    if newest is not None and newest.signing_key != signing.key_name():
        yield Difference("checkpoint_key", str(newest.id), newest.signing_key, f"{signing.key_name()} for the newest")
    yield from differences(_CHECKPOINTS, {"chain": chain_id})


# The chains are found by leaps through the index. A chain that is gone as a whole may still have checkpoints.
_HEADS = """
WITH RECURSIVE found (chain_id) AS (
    (SELECT chain_id FROM audit_auditlink ORDER BY chain_id LIMIT 1)
    UNION ALL
    SELECT (SELECT link.chain_id FROM audit_auditlink link WHERE link.chain_id > found.chain_id
            ORDER BY link.chain_id LIMIT 1)
    FROM found WHERE found.chain_id IS NOT NULL
), chains AS (
    SELECT chain_id FROM found WHERE chain_id IS NOT NULL UNION SELECT chain_id FROM audit_auditcheckpoint
)
SELECT chains.chain_id, coalesce(head.place, 0), coalesce(encode(head.hash, 'hex'), ''),
       coalesce(vouched.place, 0), coalesce(vouched.signing_key, ''),
       vouched.place IS NULL OR EXISTS (
           SELECT FROM audit_auditlink link
           WHERE link.chain_id = vouched.chain_id AND link.place = vouched.place AND link.hash = vouched.hash)
FROM chains
LEFT JOIN LATERAL (SELECT * FROM audit_auditlink link WHERE link.chain_id = chains.chain_id
                   ORDER BY link.place DESC LIMIT 1) head ON true
LEFT JOIN LATERAL (SELECT * FROM audit_auditcheckpoint made WHERE made.chain_id = chains.chain_id
                   ORDER BY made.place DESC, made.made_at DESC LIMIT 1) vouched ON true
WHERE %(wanted)s::uuid[] IS NULL OR chains.chain_id = ANY (%(wanted)s::uuid[])
ORDER BY chains.chain_id
"""

# With the link before the first, for its hash. A hash is compared where the link before is there: a gap is told once.
_LINKS = """
WITH stretch AS (
    SELECT link.record_id, link.place, link.hash, told, told.id IS NOT NULL AS has_record,
           coalesce(lag(link.place) OVER by_place, 0) AS place_before, lag(link.hash) OVER by_place AS hash_before
    FROM audit_auditlink link LEFT JOIN audit_auditrecord told ON told.id = link.record_id
    WHERE link.chain_id = %(chain)s AND link.place BETWEEN %(after)s AND %(until)s
    WINDOW by_place AS (ORDER BY link.place)
)
SELECT checked.name, stretch.record_id, checked.found, checked.expected
FROM stretch, LATERAL (VALUES
    ('record_of_link', CASE WHEN has_record THEN 'there' ELSE 'gone' END, 'there'),
    ('place_after_the_one_before', (place - place_before)::text, '1'),
    ('hash', encode(hash, 'hex'), CASE WHEN has_record AND place = place_before + 1
        THEN encode(audit_hash_v1(hash_before, %(chain)s, place, told), 'hex') ELSE encode(hash, 'hex') END)
) AS checked (name, found, expected)
WHERE stretch.place > %(after)s AND checked.found <> checked.expected
ORDER BY stretch.place
"""

_IS_LAST = "SELECT NOT EXISTS (SELECT FROM audit_auditlink WHERE chain_id = %(chain)s AND place > %(until)s)"

_CHUNK = """
SELECT (array_agg(id ORDER BY id DESC))[1]
FROM (SELECT id FROM audit_auditrecord WHERE id > %(first)s ORDER BY id LIMIT %(size)s) chunk
"""

_RECORDS = """
SELECT 'link_of_record', told.id, 'none', 'a link' FROM audit_auditrecord told
WHERE told.id > %(first)s AND told.id <= %(last)s
  AND (%(wanted)s::uuid[] IS NULL
       OR coalesce(told.organization_id, '00000000-0000-0000-0000-000000000000') = ANY (%(wanted)s::uuid[]))
  AND NOT EXISTS (SELECT FROM audit_auditlink link WHERE link.record_id = told.id)
"""

_CHECKPOINTS = """
SELECT 'checkpoint', made.id, coalesce(encode(link.hash, 'hex'), 'no link at ' || made.place), encode(made.hash, 'hex')
FROM audit_auditcheckpoint made
LEFT JOIN audit_auditlink link ON link.chain_id = made.chain_id AND link.place = made.place
WHERE made.chain_id = %(chain)s AND link.hash IS DISTINCT FROM made.hash
"""
