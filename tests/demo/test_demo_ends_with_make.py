"""`make demo` is what people start, so it is make that they kill."""

import shlex
import signal
from pathlib import Path

from tests.databases import Database
from tests.demo.demos import Demo, clean_environment, demo_command


def test_nothing_is_left_when_make_is_killed(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"demo:\n\t@exec {shlex.join(demo_command(folder))}\n")
    demo = Demo(folder, ["make", "-f", str(makefile)], clean_environment(DATABASE_URL=database.url))
    demo.wait_until(lambda: any("manage.py gateway" in command for command in demo.processes().values()))
    processes = demo.processes()
    demo.process.kill()
    assert demo.ends(processes) == -signal.SIGKILL
