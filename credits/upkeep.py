"""What must have happened before a wallet moves.

A period that is over is closed before anything is spent, granted or given back, even when no job has run for weeks. Who
keeps periods lives further right and registers itself here. Holds that end need none of it: they spend what they
reserved.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from uuid import UUID

Upkeep = Callable[[Collection[UUID], datetime], None]
_upkeep: list[Upkeep] = []


def before_movements(upkeep: Upkeep) -> Upkeep:
    """Have ``upkeep(organization_ids, at)`` run before wallets move; it must be cheap when there is nothing to do."""
    if upkeep not in _upkeep:
        _upkeep.append(upkeep)
    return upkeep


def bring_up_to_date(organization_ids: Collection[UUID], at: datetime) -> None:
    """Let everything happen to these wallets that was due by ``at``."""
    for upkeep in _upkeep:
        upkeep(organization_ids, at)
