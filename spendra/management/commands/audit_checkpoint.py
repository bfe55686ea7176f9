from typing import Any

from apps.audit.checkpoints import sign_checkpoints
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Signs how far the audit chains go now, as the worker does: audit_verify then notices if their end is lost."

    def perform(self, **options: Any) -> list[dict[str, object]]:
        return [
            {
                "chain_id": str(checkpoint.chain_id),
                "place": checkpoint.place,
                "hash": checkpoint.hash.hex(),
                "made_at": checkpoint.made_at.isoformat(),
                "signing_key": checkpoint.signing_key,
                "signature": checkpoint.signature.hex(),
            }
            for checkpoint in sign_checkpoints()
        ]

    def describe(self, result: Any) -> str:
        lines = [f"{made['chain_id']}  {made['place']} records  {made['hash']}" for made in result]
        return "\n".join(lines or ["Every chain is under a checkpoint already."])
