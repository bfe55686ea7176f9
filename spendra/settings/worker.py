from spendra.settings.base import *  # noqa: F403

ROOT_URLCONF = "spendra.urls_worker"
