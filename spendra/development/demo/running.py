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
    database_url: str
    metrics_token: str

    def described(self) -> dict[str, object]:
        """What demo.json holds. The URLs are without /v1."""
        return {
            "gateway_url": self.addresses.gateway,
            "dashboard_url": self.addresses.dashboard,
            "sandbox_url": self.addresses.sandbox if self.provider.is_sandbox else None,
            "database_url": self.database_url,
            "organization": self.data.organization.slug,
            "key": self.data.key,
            "metrics_token": self.metrics_token,
            "sign_in": {"email": self.data.sign_in_email, "password": self.data.password},
        }
