"""Who reports usage, as far as an event needs it."""

from dataclasses import dataclass
from typing import Self
from uuid import UUID

from accounts.principal import Principal


@dataclass(frozen=True, slots=True)
class Reporter:
    """The organization that pays, and the key or member that the event is put down to."""

    organization_id: UUID
    api_key_id: UUID | None
    member_id: UUID | None
    actor: str
    limit_ids: tuple[UUID, ...]  # spend limits that a charge counts against

    @classmethod
    def of(cls, principal: Principal) -> Self:
        """The reporter behind a request."""
        limit = principal.spend_limit_id
        return cls(
            organization_id=principal.organization_id,
            api_key_id=principal.api_key_id,
            member_id=principal.member_id,
            actor=principal.actor,
            limit_ids=() if limit is None else (limit,),
        )
