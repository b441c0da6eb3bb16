"""The port: what can be asked about one charge of somebody else's customer. Calls are made outside transactions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from payments.providers.port import Answer


@dataclass(frozen=True, slots=True)
class CustomerCharge:
    """One try to charge a customer ``amount`` cents of USD; ``id`` and ``attempt`` make it idempotent."""

    id: UUID
    attempt: int
    organization_id: UUID
    amount: int
    description: str
    token: str = ""  # what the customer presents
    customer: str = ""  # whom the provider keeps methods for
    method: str = ""  # the saved method
    email: str = ""
    name: str = ""
    reference: str = ""  # the provider's own payment, once it has named one
    asked_since: datetime | None = None  # since when this try was asked for without an answer; None: never before

    @property
    def key(self) -> str:
        """The idempotency key of this try."""
        return f"customer-charge:{self.id}:{self.attempt}"


@dataclass(frozen=True, slots=True)
class CustomerRefund:
    """``amount`` cents of the provider's payment ``reference`` to give back; ``id`` makes it idempotent."""

    id: UUID
    organization_id: UUID
    amount: int
    reference: str
    made: str = ""  # the provider's own refund, once it has named one
    asked_since: datetime | None = None  # as of a charge

    @property
    def key(self) -> str:
        """The idempotency key."""
        return f"customer-refund:{self.id}"


class Charger(Protocol):
    """One adapter. Raises ProviderUnavailable when nothing is known, ProviderRefused when asking again is no use.

    Asking again with the same try gives the same answer and moves money once, however much later: ``asked_since`` says
    that the provider may have done it already, and providers forget idempotency keys after a day or so.
    """

    name: str

    def charge_token(self, charge: CustomerCharge) -> Answer:
        """Charge what the customer presents, and keep it for later."""

    def keep_token(self, charge: CustomerCharge) -> Answer:
        """Keep what the customer presents for later, without a charge."""

    def charge_saved(self, charge: CustomerCharge) -> Answer:
        """Charge what was kept, without the customer."""

    def look_up(self, charge: CustomerCharge) -> Answer:
        """What became of a payment that the provider had named and not decided."""

    def refund(self, refund: CustomerRefund) -> Answer:
        """Give money back, or say what became of it: PAID when it is given, PENDING while it is under way."""
