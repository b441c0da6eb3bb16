"""What is counted, and the answer for one call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

SCRIPT = (Path(__file__).resolve().parent.parent / "lua" / "sliding_windows.lua").read_text()
MINUTE_MS = 60_000


class Bucket(msgspec.Struct, frozen=True):
    """One window that a call must fit into."""

    key: str  # of the Redis hash
    policy: str  # its name in the RateLimit headers
    unit: str  # "requests" or "tokens"
    limit: int  # per window
    cost: int = 1  # what this call takes
    window_ms: int = MINUTE_MS


class BucketState(msgspec.Struct, frozen=True):
    """A window after the decision."""

    bucket: Bucket
    remaining: int
    retry_ms: int  # until the call would fit; 0 when it did
    reset_ms: int  # until the window is empty again
    slot: int  # where the cost was counted


class Decision(msgspec.Struct, frozen=True):
    """Whether a call may go on; without states nothing was counted (no limits, or Redis was down)."""

    admitted: bool
    states: tuple[BucketState, ...] = msgspec.field(default=())

    @property
    def retry_after(self) -> int:
        """Whole seconds after which the call would fit, at least 1."""
        return max(1, -(-max((state.retry_ms for state in self.states), default=0) // 1000))

    def tightest(self, unit: str) -> BucketState | None:
        """The window of a unit with the least room left."""
        found = None
        for state in self.states:
            if state.bucket.unit == unit and (found is None or state.remaining < found.remaining):
                found = state
        return found


ADMITTED = Decision(admitted=True)


class Correction(msgspec.Struct, frozen=True):
    """A later change of what a call took: the tokens it really used."""

    state: BucketState
    change: int


def script_input(
    takes: Sequence[Sequence[Bucket]], corrections: Sequence[Correction] = ()
) -> tuple[list[str], list[bytes]]:
    """KEYS and ARGV of the script for a batch."""
    index: dict[str, int] = {}
    number = index.setdefault  # the first time that a key comes up it gets the next one
    wanted = [
        [[number(each.key, len(index) + 1), each.limit, each.cost, each.window_ms] for each in take] for take in takes
    ]
    changes = [
        [number(each.state.bucket.key, len(index) + 1), each.state.slot, each.change, each.state.bucket.window_ms]
        for each in corrections
    ]
    return list(index), [msgspec.json.encode(wanted), msgspec.json.encode(changes)]


def decisions(takes: Sequence[Sequence[Bucket]], answer: bytes | str) -> list[Decision]:
    """The script's answer, one Decision per take."""
    rows = msgspec.json.decode(answer)
    # An empty Lua table is encoded as an object.
    return [_decision(take, row) for take, row in zip(takes, rows or [], strict=True)]


def _decision(take: Sequence[Bucket], row: list[Any]) -> Decision:
    states = [
        BucketState(bucket, max(0, bucket.limit - int(used)), int(wait), int(back), int(slot))
        for bucket, (used, wait, back, slot) in zip(take, row[1:], strict=True)
    ]
    return Decision(bool(row[0]), tuple(states))
