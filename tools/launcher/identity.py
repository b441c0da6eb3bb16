"""As whom the embedded servers run: PostgreSQL refuses root."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tools.launcher.console import Failure


@dataclass(frozen=True)
class Identity:
    """The account that owns the data, and how to become it: by a prefix, else by the launcher itself."""

    account: str | None = None  # None: the caller as it is
    prefix: tuple[str, ...] = ()

    @property
    def owner(self) -> tuple[int, int]:
        """The user and group who must own the data."""
        if self.account is None:
            return os.getuid(), os.getgid()
        entry = pwd.getpwnam(self.account)
        return entry.pw_uid, entry.pw_gid

    def popen_options(self) -> dict:
        """What to add to Popen so that the child runs as this identity."""
        if self.account is None or self.prefix:
            return {}
        uid, gid = self.owner
        return {"user": uid, "group": gid, "extra_groups": []}

    def own(self, folder: Path) -> None:
        """Hand ``folder`` and all in it to this identity, unless it already is its own."""
        uid, gid = self.owner
        if folder.stat().st_uid == uid:
            return
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.chown(Path(parent) / name, uid, gid, follow_symlinks=False)
        os.chown(folder, uid, gid)  # last: a hand-over that was cut short is done again


AS_CALLER = Identity()


def _for_root() -> Iterator[Identity]:
    """From the least to the most unusual: nobody; a namespace without rights; nobody who may enter any folder."""
    yield Identity("nobody")
    yield Identity(prefix=("unshare", "--user", "--"))
    for right in ("dac_read_search", "dac_override"):  # containers often lack the first, and namespaces
        rights = [f"--{kind}=-all,+{right}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
        uid, gid = Identity("nobody").owner
        account = (f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
        # Without this bit access() does not count the right, and initdb asks by access().
        rights.append("--securebits=+no_setuid_fixup")
        yield Identity("nobody", prefix=("setpriv", *account, *rights))


def identity_for(binary: Path, folder: Path, *, refuses_root: bool = True) -> Identity:
    """The first identity that can run ``binary`` on data below ``folder``; found by trying.

    Raises Failure when root can become none of them and ``binary`` would not run as root.
    """
    if os.getuid() != 0:
        return AS_CALLER
    with suppress(KeyError):  # a system without the account nobody
        for identity in _for_root():
            if _works(identity, binary, folder):
                return identity
    if not refuses_root:
        return AS_CALLER
    raise Failure(
        "PostgreSQL does not run as root, and neither the account nobody nor a user namespace works here: "
        "run as an ordinary user, or set DATABASE_URL and REDIS_URL to servers of your own."
    )


def _works(identity: Identity, binary: Path, folder: Path) -> bool:
    if identity.prefix and not shutil.which(identity.prefix[0]):
        return False
    command = [*identity.prefix, "sh", "-c", '"$1" --version && cd "$2"', "sh", str(binary), str(folder)]
    options = identity.popen_options()
    return subprocess.run(command, cwd="/", capture_output=True, check=False, **options).returncode == 0
