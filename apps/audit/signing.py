"""Signatures of checkpoints, with a key that the database never sees."""

import hmac
import json
from hashlib import sha256

from django.conf import settings

from apps.audit.models import AuditCheckpoint


def key_name() -> str:
    """Which key is ours now. Rotating the root secret changes it: what another key signed can't be checked any more."""
    return sha256(b"name of " + settings.AUDIT_CHECKPOINT_KEY).hexdigest()[:16]


def sign(checkpoint: AuditCheckpoint) -> None:
    checkpoint.signing_key = key_name()
    checkpoint.signature = _signature(checkpoint)


def is_genuine(checkpoint: AuditCheckpoint) -> bool:
    """Whether our key signed it as it stands; of another key's nothing can be said."""
    if checkpoint.signing_key != key_name():
        return True
    return hmac.compare_digest(bytes(checkpoint.signature), _signature(checkpoint))


def _signature(checkpoint: AuditCheckpoint) -> bytes:
    told = [str(checkpoint.chain_id), checkpoint.place, bytes(checkpoint.hash).hex(), checkpoint.made_at.isoformat()]
    return hmac.digest(settings.AUDIT_CHECKPOINT_KEY, json.dumps(["checkpoint", 1, *told]).encode(), "sha256")
