from django.apps import AppConfig


class SpendraConfig(AppConfig):
    """Makes the management commands that belong to no single room known to Django."""

    name = "spendra"
