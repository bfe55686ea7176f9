from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from spendra.kernel.errors import Invalid


class ProvidersConfig(AppConfig):
    name = "apps.providers"
    label = "providers"
    verbose_name = "Providers"

    def ready(self) -> None:
        """Base URLs from the environment obey the same rules as those of accounts, or nothing starts."""
        from apps.providers.addresses import check_base_url

        for provider, base_url in settings.PROVIDER_BASE_URLS.items():
            try:
                check_base_url(base_url)
            except Invalid as error:
                raise ImproperlyConfigured(f"{provider.upper()}_BASE_URL: {error.message}") from error
