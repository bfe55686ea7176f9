from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from apps.orgs.scopes import scope_set

ACTOR, PROJECT, TEAM, OTHER_TEAM, BRANCH, ROOT = (UUID(int=number) for number in (60, 50, 40, 30, 20, 10))


def test_an_actor_alone_is_its_own_scope() -> None:
    assert scope_set(ACTOR, None, {}) == (ACTOR,)


def test_everything_above_actor_and_project_applies_once_nearest_first() -> None:
    parents = {
        ACTOR: [TEAM, OTHER_TEAM],
        PROJECT: [TEAM],
        TEAM: [BRANCH],
        OTHER_TEAM: [BRANCH],
        BRANCH: [ROOT],
    }
    assert scope_set(ACTOR, PROJECT, parents) == (ACTOR, PROJECT, OTHER_TEAM, TEAM, BRANCH, ROOT)


def test_a_project_above_the_actor_counts_once() -> None:
    assert scope_set(ACTOR, PROJECT, {ACTOR: [PROJECT]}) == (ACTOR, PROJECT)


def test_a_thousand_levels_are_no_matter() -> None:
    chain = [UUID(int=number) for number in range(1, 1001)]
    parents = {below: [above] for below, above in pairwise(chain)}
    assert scope_set(chain[0], None, parents) == tuple(chain)


@given(st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 12), max_size=4)), st.integers(0, 12))
def test_any_graph_even_a_circle_gives_exactly_what_can_be_reached(graph: dict[int, list[int]], start: int) -> None:
    parents = {UUID(int=child): [UUID(int=parent) for parent in above] for child, above in graph.items()}
    reached, todo = set(), [start]
    while todo:
        unit = todo.pop()
        if unit not in reached:
            reached.add(unit)
            todo += graph.get(unit, [])
    found = scope_set(UUID(int=start), None, parents)
    assert len(found) == len(set(found))
    assert set(found) == {UUID(int=unit) for unit in reached}
