from tests.gateway.conftest import company, gateway, running_gateway, sandbox, shared_database

__all__ = ["company", "gateway", "running_gateway", "sandbox", "shared_database"]
