from collections.abc import Mapping
from dataclasses import dataclass

from spendra.development.demo.addresses import Addresses
from spendra.development.demo.environment import Provider
from spendra.development.demo_data import DemoData


@dataclass(frozen=True)
class Running:
    """A demo that answers: what a person or a script needs to use it."""

    addresses: Addresses
    provider: Provider
    data: DemoData
    environment: Mapping[str, str]  # what demo.env holds

    def described(self) -> dict[str, object]:
        """What demo.json holds. The URLs are without /v1."""
        return {
            "gateway_url": self.addresses.gateway,
            "dashboard_url": self.addresses.dashboard,
            "sandbox_url": self.addresses.sandbox if self.provider.is_sandbox else None,
            "database_url": self.environment["DATABASE_URL"],
            "organization": self.data.organization.slug,
            "key": self.data.key,
            "metrics_token": self.environment["SPENDRA_METRICS_BEARER_TOKEN"],
            "sign_in": {"email": self.data.sign_in_email, "password": self.data.password},
        }
