"""How the acts on keys appear in the audit: by the id that people know a key by."""

from apps.audit.recording import AuditTrail

TRAIL = AuditTrail(room="keys", kind="key", id_field="key_id")
