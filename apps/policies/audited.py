"""How the acts of this room appear in the audit; those on a version, under its policy."""

from apps.audit.recording import AuditTrail

POLICY = AuditTrail(room="policies", kind="policy")
FREEZE = AuditTrail(room="policies", kind="freeze")
REVIEW = AuditTrail(room="policies", kind="review")
