from spendra.settings import environment as env
from spendra.settings.base import *  # noqa: F403

# Whose x-forwarded-for is believed: addresses or networks of the customer's own ingress.
TRUSTED_PROXIES = env.read_networks("SPENDRA_TRUSTED_PROXIES")
MAX_BODY_BYTES = env.read_int("SPENDRA_MAX_BODY_BYTES", 20 * 2**20, lowest=1024, highest=2**30)
MAX_BODIES_BYTES = env.read_int(
    "SPENDRA_MAX_BODIES_BYTES", max(256 * 2**20, MAX_BODY_BYTES), lowest=MAX_BODY_BYTES, highest=2**40
)
BODY_TIMEOUT_SECONDS = env.read_int("SPENDRA_BODY_TIMEOUT_SECONDS", 30, lowest=1, highest=600)
UPSTREAM_CONNECT_TIMEOUT_SECONDS = env.read_int("SPENDRA_UPSTREAM_CONNECT_TIMEOUT_SECONDS", 10, lowest=1, highest=120)
UPSTREAM_READ_TIMEOUT_SECONDS = env.read_int("SPENDRA_UPSTREAM_READ_TIMEOUT_SECONDS", 600, lowest=1, highest=3600)
RESERVATION_MAX_SECONDS = env.read_int("SPENDRA_RESERVATION_MAX_SECONDS", 3600, lowest=10, highest=86400)
DRAIN_SECONDS = env.read_int("SPENDRA_DRAIN_SECONDS", 60, lowest=1, highest=3600)
