"""Makes .venv hold what requirements-dev.txt asks for. Runs on a bare Python 3.11: the standard library only.

A stamp, written last, says what the environment holds. None: an earlier run was cut short, and it is made anew.
"""

import fcntl
import hashlib
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / ".spendra-requirements"
_SHOWN_OF_A_FAILURE = 15


def main() -> int:
    try:
        if read_stamp() == wanted_stamp():
            return 0
        with one_at_a_time():
            if read_stamp() != wanted_stamp():
                install()
    except OSError as error:
        return fail(f"Cannot make {ENVIRONMENT}: {error}.")
    except subprocess.CalledProcessError as error:
        return fail(f"`{Path(error.cmd[0]).name} {' '.join(error.cmd[1:4])} …` failed; see above for the cause.")
    except KeyboardInterrupt:
        return fail("Interrupted; the next run begins again.")
    return 0


def wanted_stamp() -> list[str]:
    """Which Python, in which place (a moved environment no longer works), holds which requirements."""
    interpreter = f"{sys.version}\n{sys.base_prefix}\n{ENVIRONMENT}"
    requirements = "\n".join(path.read_text() for path in REQUIREMENTS)
    return [hashlib.sha256(part.encode()).hexdigest() for part in (interpreter, requirements)]


def read_stamp() -> list[str]:
    return STAMP.read_text().split() if STAMP.exists() and PYTHON.exists() else []


@contextmanager
def one_at_a_time() -> Iterator[None]:
    folder = ROOT / ".spendra"
    folder.mkdir(exist_ok=True)
    with (folder / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install() -> None:
    if read_stamp()[:1] == wanted_stamp()[:1]:
        say("requirements-dev.txt has changed: bringing .venv up to date")
    else:
        say(f"Making .venv with Python {sys.version.split()[0]}: once, about a minute")
        venv.create(ENVIRONMENT, clear=True, with_pip=True, symlinks=True)
    STAMP.unlink(missing_ok=True)
    install_packages()
    STAMP.write_text("\n".join(wanted_stamp()))


def install_packages() -> None:
    command = [str(PYTHON), "-m", "pip", "install", "--progress-bar", "off", "--no-input"]
    command += ["--disable-pip-version-check", "-r", str(REQUIREMENTS[-1])]
    said = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        for line in pip.stdout or ():
            said.append(line.rstrip())
            show_progress(said)
    if pip.returncode != 0:
        print("\n".join(said[-_SHOWN_OF_A_FAILURE:]), file=sys.stderr)
        raise subprocess.CalledProcessError(pip.returncode, command)


def show_progress(said: list[str]) -> None:
    if said[-1].startswith("Collecting"):
        found = sum(line.startswith("Collecting") for line in said)
        if found % 10 == 0:
            say(f"  {found} packages found")
    elif said[-1].startswith("Installing collected packages"):
        say(f"  installing {said[-1].count(',') + 1} packages")


def say(text: str) -> None:
    print(text, flush=True)


def fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
