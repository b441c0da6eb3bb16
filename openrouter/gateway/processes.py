"""Which gateway process carries a call out, and whether it still lives: a call of a dead one is recovered at once.

A process is named by its kernel, its process namespace, its number and its time of birth. Whoever shares kernel and
namespace looks it up directly; all others go by a sign of life in Redis, renewed every few seconds.
"""

import asyncio
import os
from functools import cache
from pathlib import Path

import redis.asyncio
import structlog
from django.conf import settings

from core.ids import uuid7

log = structlog.get_logger(__name__)

BEAT_SECONDS = 5.0
SILENT_SECONDS = 20  # without a sign of life for so long, it is taken for dead
_KEY = "gateway:alive:"


@cache
def this_process() -> str:
    """The name of this process: the same for its whole life, never used again."""
    return f"{_namespace()}.{os.getpid()}.{_birth(os.getpid()) or uuid7().hex[-12:]}"


os.register_at_fork(after_in_child=this_process.cache_clear)


def beat_key(process: str) -> str:
    """Where its sign of life is in Redis."""
    return f"{_KEY}{process}"


def is_gone(process: str) -> bool | None:
    """Whether the process has ended; None when that cannot be seen from here."""
    place, _, rest = process.partition(".")
    pid, _, birth = rest.partition(".")
    if not pid.isdecimal() or place != _namespace() or place == _ELSEWHERE:
        return None
    return _birth(int(pid)) != birth


async def show_signs_of_life(process: str) -> None:
    """Renew the sign of life until cancelled. Without Redis nobody can tell, and nobody is taken for dead."""
    client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
    try:
        while True:
            try:
                await client.set(beat_key(process), 1, ex=SILENT_SECONDS)
            except (redis.RedisError, OSError, TimeoutError) as error:
                log.warning("gateway.no_sign_of_life", error=repr(error))
            await asyncio.sleep(BEAT_SECONDS)
    finally:
        await client.aclose()


_ELSEWHERE = "unknown"


@cache
def _namespace() -> str:
    """Kernel and process namespace; process numbers mean the same to all who share both."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
        return f"{boot[:16]}-{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116 - a link that leads nowhere
    except OSError:
        return _ELSEWHERE


def _birth(pid: int) -> str:
    """When the process began, in ticks since the kernel's start; empty when there is none (or only a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
