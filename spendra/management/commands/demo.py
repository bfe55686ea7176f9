import logging
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from spendra.development.demo import demonstration
from spendra.development.demo.errors import DemoError
from spendra.development.demo.folder import DemoFolder
from spendra.development.demo.screen import Screen
from spendra.development.demo.signals import Interrupted
from spendra.kernel.errors import SpendraError

_SIGNALLED = 128  # how shells tell which signal ended a program


class Command(BaseCommand):
    help = "Starts all of Spendra on this machine, sends two governed requests through it, and serves."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round, then exit: 0 only if all of it worked")
        parser.add_argument("--data-dir", type=Path, default=settings.BASE_DIR / ".spendra" / "demo", metavar="D")
        parser.add_argument("--gateway-port", type=int, metavar="N", help="4000, or a free one where that is taken")
        parser.add_argument("--dashboard-port", type=int, metavar="N", help="3000, or a free one where that is taken")

    def handle(
        self, *, once: bool, data_dir: Path, gateway_port: int | None, dashboard_port: int | None, **_: Any
    ) -> None:
        if settings.IS_PRODUCTION:
            raise CommandError("The demo makes demo data: it does not run where SPENDRA_ENV is production.")
        # It logs each request that it sends, between the lines of the screen.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        options = demonstration.Options(is_once=once, gateway_port=gateway_port, dashboard_port=dashboard_port)
        try:
            demonstration.run(DemoFolder(data_dir), options, Screen(sys.stdout))
        except (DemoError, SpendraError) as error:
            raise CommandError(str(error)) from error
        except Interrupted as error:
            sys.exit(_SIGNALLED + error.signal_number)
