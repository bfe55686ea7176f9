import logging

from apps.audit import signing
from apps.audit.models import AuditCheckpoint
from apps.audit.verifying import Head, heads, verify_links
from spendra.kernel import clock

log = logging.getLogger(__name__)


def sign_checkpoints() -> list[AuditCheckpoint]:
    """Vouches for each chain up to where it ends now, and tells the log, which is kept elsewhere; returns the new ones.

    A chain that our key has vouched for already gets none; nor does one that is not whole since its last checkpoint: it
    is told in the log as an error. Safe to run twice at once. Takes no lock.
    """
    due = [head for head in heads() if head.place != head.vouched_place or head.signing_key != signing.key_name()]
    made = [_signed(head) for head in due if _is_whole(head)]
    AuditCheckpoint.objects.bulk_create(made, ignore_conflicts=True)
    for checkpoint in made:
        log.info(
            "audit checkpoint: chain %s, place %d, hash %s, signed %s by key %s",
            checkpoint.chain_id, checkpoint.place, checkpoint.hash.hex(), checkpoint.signature.hex(),
            checkpoint.signing_key,
        )  # fmt: skip
    return made


def _signed(head: Head) -> AuditCheckpoint:
    checkpoint = AuditCheckpoint(
        chain_id=head.chain_id, place=head.place, hash=bytes.fromhex(head.hash), made_at=clock.now()
    )
    signing.sign(checkpoint)
    return checkpoint


def _is_whole(head: Head) -> bool:
    if head.is_as_vouched and next(verify_links(head.chain_id, after=head.vouched_place), None) is None:
        return True
    log.error("the audit chain %s is not whole: run manage.py audit_verify", head.chain_id)
    return False
