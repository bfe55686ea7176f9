from concurrent.futures import ThreadPoolExecutor

from apps.orgs.models import Organization
from apps.policies import reviewing
from apps.policies.models import Review
from apps.policies.queries import reviews_of
from tests.databases import Database
from tests.orgs.building import ACTING, make_organization
from tests.policies.asking import ask, asked_review


def test_asked_again_it_is_the_same_review_with_the_greater_amount(database: Database) -> None:
    acme, connection = make_organization(), database.connect()
    first = ask(connection, acme, asked_nanos=5)
    assert ask(connection, acme, asked_nanos=9) == first
    assert ask(connection, acme, asked_nanos=7) == first
    review = Review.objects.get()
    assert (review.id, review.asked_nanos, review.state) == (first, 9, "pending")


def test_another_key_model_or_organization_is_another_review(database: Database) -> None:
    acme, globex, connection = make_organization(), make_organization("globex"), database.connect()
    ids = {
        ask(connection, acme),
        ask(connection, acme, key_id="key2"),
        ask(connection, acme, model="gpt-5"),
        ask(connection, acme, provider="azure"),
        ask(connection, globex),
    }
    assert len(ids) == 5
    assert len(reviews_of(acme)) == 4


def test_a_decided_review_is_not_opened_again(database: Database) -> None:
    acme, connection = make_organization(), database.connect()
    first = asked_review(connection, acme)
    reviewing.deny(first, organization=acme, acting=ACTING)
    assert ask(connection, acme) != first.id


def test_a_client_that_repeats_itself_writes_nothing(database: Database) -> None:
    acme, connection = make_organization(), database.connect()
    ask(connection, acme)
    before = connection.execute("SELECT xmin FROM policies_review").fetchall()
    for _ in range(5):
        ask(connection, acme)
    assert connection.execute("SELECT xmin FROM policies_review").fetchall() == before


def test_gateways_that_ask_at_once_get_one_review(database: Database) -> None:
    acme = make_organization()
    connections = [database.connect() for _ in range(8)]
    with ThreadPoolExecutor(len(connections)) as gateways:
        ids = list(gateways.map(lambda one: [ask(one, acme, asked_nanos=amount) for amount in range(20)], connections))
    assert len({review for asked in ids for review in asked}) == 1
    assert Review.objects.get().asked_nanos == 19


def fill(database: Database, organization: Organization, count: int, key: str) -> None:
    database.connect().execute(
        "INSERT INTO policies_review (id, organization_id, key_id, actor_id, policy_version_id, provider, model,"
        " asked_nanos, state, decided_by, note, created_at) SELECT gen_random_uuid(), %(organization)s, " + key + ","
        " gen_random_uuid(), gen_random_uuid(), 'openai', 'model ' || n, 1, 'pending', '', '', now()"
        " FROM generate_series(1, %(count)s) n",
        {"organization": organization.id, "count": count},
    )


def test_a_key_that_asks_for_everything_leaves_room_for_the_others(database: Database) -> None:
    acme, connection = make_organization(), database.connect()
    fill(database, acme, 50, "'key1'")
    assert ask(connection, acme, model="one too many") is None
    assert ask(connection, acme, model="model 7", asked_nanos=8) is not None
    assert ask(connection, acme, key_id="key2") is not None


def test_an_organization_has_no_more_pending_reviews_than_somebody_can_read(database: Database) -> None:
    acme, globex, connection = make_organization(), make_organization("globex"), database.connect()
    fill(database, acme, 1000, "'filler' || n")
    assert ask(connection, acme) is None
    assert ask(connection, globex) is not None
    reviewing.deny(reviews_of(acme)[0], organization=acme, acting=ACTING)
    assert ask(connection, acme) is not None
