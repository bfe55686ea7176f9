"""Becomes the program it is given, inside DIRECTORY, under ACCOUNT, and gets SIGNAL when the parent dies.

    python -I -S launch.py PARENT_PID SIGNAL DIRECTORY ACCOUNT PROGRAM [ARGUMENT ...]

Runs as a file, not as a module: it must start in a few milliseconds and needs nothing but the standard library.
ACCOUNT is `own`, `namespace:UID:GID` (a user namespace in which root looks like UID) or `switch:UID:GID`.
"""

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _call(function: str, *arguments: int) -> None:
    if getattr(_libc, function)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")


def _enter_namespace(uid: int, gid: int) -> None:
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    _call("unshare", _CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {outside_gid} 1")


def _switch(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _take_account(account: str) -> None:
    how, *ids = account.split(":")
    if how == "namespace":
        _enter_namespace(int(ids[0]), int(ids[1]))
    elif how == "switch":
        _switch(int(ids[0]), int(ids[1]))


def main() -> None:
    parent, signal_number, directory, account, program = sys.argv[1:6]
    os.chdir(directory)  # before the account changes: only root may be able to walk to it
    _take_account(account)
    _call("prctl", _PR_SET_PDEATHSIG, int(signal_number))  # after: a change of account clears it
    if os.getppid() != int(parent):
        sys.exit("the parent died while its server was being launched")
    os.execv(program, sys.argv[5:])


if __name__ == "__main__":
    main()
