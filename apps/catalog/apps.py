from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CatalogConfig(AppConfig):
    name = "apps.catalog"
    label = "catalog"
    verbose_name = "Catalog"

    def ready(self) -> None:
        from apps.catalog.signals import load_image_bundle_after_migrating

        post_migrate.connect(load_image_bundle_after_migrating, sender=self)
