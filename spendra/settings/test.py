"""One settings module sees every role's names: tests run all of them against one database."""

from spendra.settings.dashboard import *  # noqa: F403
from spendra.settings.gateway import *  # noqa: F403

ROOT_URLCONF = "spendra.urls_dashboard"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
