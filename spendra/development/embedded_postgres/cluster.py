"""Making the cluster: all of it or nothing, of the right version, owned by the account that serves it."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from spendra.development.embedded_postgres.binaries import Installation
from spendra.development.embedded_postgres.errors import EmbeddedPostgresError
from spendra.development.embedded_postgres.folder import DATABASE, USER, DataFolder
from spendra.development.embedded_postgres.launching import Account, run

# The working directory under another name. Postgres insists on an absolute path, and the account it runs under may be
# unable to walk to the folder (a clone below a private home): the launcher walks there first.
HERE = "/proc/self/cwd"


def prepare(folder: DataFolder, installation: Installation, *, durable: bool) -> None:
    """Afterwards the folder holds a password and a whole cluster that this installation can serve."""
    folder.path.chmod(0o700)
    if folder.cluster.exists():
        _check(folder, installation)
    else:
        _write_password(folder)
        _create(folder, installation, durable=durable)
    _give_to(installation.account, folder.path)


def _check(folder: DataFolder, installation: Installation) -> None:
    version_file = folder.cluster / "PG_VERSION"
    found = version_file.read_text().strip() if version_file.exists() else "an unknown version"
    if found != installation.major:
        raise EmbeddedPostgresError(
            f"The data in {folder.cluster} is of Postgres {found}, the installed server is Postgres "
            f"{installation.major}. Remove {folder.path} to begin with an empty database, or set DATABASE_URL."
        )
    if not folder.password_file.exists():
        raise EmbeddedPostgresError(
            f"The password of the embedded Postgres, {folder.password_file}, is gone. "
            f"Put it back, or remove {folder.path} to begin with an empty database."
        )


def _write_password(folder: DataFolder) -> None:
    building = folder.path / "password.new"
    building.unlink(missing_ok=True)
    with os.fdopen(os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(24))
    building.rename(folder.password_file)


def _create(folder: DataFolder, installation: Installation, *, durable: bool) -> None:
    """In a folder of another name, so that a cluster that exists is a whole one."""
    building = folder.path / "cluster.new"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o700)
    _give_to(installation.account, folder.path)
    _initdb(building, installation, durable=durable)
    _create_database(building, installation, folder.password(), durable=durable)
    building.rename(folder.cluster)


def _initdb(building: Path, installation: Installation, *, durable: bool) -> None:
    arguments = ["-D", HERE, "-U", "postgres", "-A", "scram-sha-256", "--pwfile=../password"]
    arguments += ["-E", "UTF8", "--locale=C.UTF-8", *([] if durable else ["--no-sync"])]
    _must_succeed(run(installation.account, building, installation.bin / "initdb", *arguments))


def _create_database(building: Path, installation: Installation, password: str, *, durable: bool) -> None:
    """An ordinary role, as in production: what only a superuser may do must fail here too."""
    arguments = ["--single", "-D", HERE, "-c", "exit_on_error=on", "-c", f"fsync={'on' if durable else 'off'}"]
    sql = f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{password}'\nCREATE DATABASE {DATABASE} OWNER {USER}\n"
    program = installation.bin / "postgres"
    _must_succeed(run(installation.account, building, program, *arguments, "postgres", stdin=sql))


def _must_succeed(completed: subprocess.CompletedProcess[str]) -> None:
    if completed.returncode != 0:
        reason = (completed.stderr.strip() or completed.stdout.strip() or "no reason given").splitlines()[-1]
        raise EmbeddedPostgresError(f"The embedded Postgres could not create its database: {reason}")


def _give_to(account: Account, folder: Path) -> None:
    uid, gid = account.owner
    if all(path.lstat().st_uid == uid for path in (folder, *folder.iterdir())):
        return
    os.chown(folder, uid, gid)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent, name), uid, gid, follow_symlinks=False)
