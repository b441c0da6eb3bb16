"""As whom the embedded servers run: PostgreSQL refuses root."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.launcher.console import Failure


@dataclass(frozen=True)
class Identity:
    """An account to switch to, or a prefix that drops root's rights; neither means the caller as it is."""

    user: str | None = None
    prefix: tuple[str, ...] = ()

    @property
    def owner(self) -> tuple[int, int]:
        """The user and group who must own the data."""
        if self.user is None:
            return os.getuid(), os.getgid()
        account = pwd.getpwnam(self.user)
        return account.pw_uid, account.pw_gid

    def popen_options(self) -> dict:
        """What to add to Popen so that the child runs as this identity."""
        if self.user is None:
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
AS_NOBODY = Identity(user="nobody")
AS_STRANGER = Identity(prefix=("unshare", "--user", "--"))


def identity_for(binary: Path, folder: Path, *, refuses_root: bool = True) -> Identity:
    """The first identity that can run ``binary`` on data below ``folder``; found by trying.

    Raises Failure when root can neither become nobody there nor leave its user namespace, if that matters.
    """
    if os.getuid() != 0:
        return AS_CALLER
    for identity in (AS_NOBODY, AS_STRANGER):
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
    try:
        options = identity.popen_options()
    except KeyError:  # no such account
        return False
    command = [*identity.prefix, "sh", "-c", '"$1" --version && cd "$2"', "sh", str(binary), str(folder)]
    return subprocess.run(command, cwd="/", capture_output=True, check=False, **options).returncode == 0
