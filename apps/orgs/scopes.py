"""Which scopes apply to a request: a set, since units form a graph. Pure, so that a snapshot asks it for every key."""

from collections.abc import Mapping, Sequence
from uuid import UUID


def scope_set(actor_id: UUID, project_id: UUID | None, parents: Mapping[UUID, Sequence[UUID]]) -> tuple[UUID, ...]:
    """The actor, the project that its key is bound to, and everything above either; each once.

    Nearest first, level by level and by id within one, so that the same graph always gives the same tuple. The
    organization, which is above all of them, is left to the caller.
    """
    level = [actor_id] if project_id in (None, actor_id) else [actor_id, project_id]
    found = dict.fromkeys(level)
    while level:
        above = {parent for unit in level for parent in parents.get(unit, ())}
        level = sorted(above - found.keys())
        found.update(dict.fromkeys(level))
    return tuple(found)
