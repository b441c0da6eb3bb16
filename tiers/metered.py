"""What tiers charge by meters. Meters live further right and register here how to read a price and what is owed."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from core.errors import InvalidRequest
from core.money import ZERO

if TYPE_CHECKING:
    from tiers.models import Subscription

Check = Callable[[Any], list[dict[str, Any]]]
Arrears = Callable[[Sequence["Subscription"]], list[Decimal]]
_check: list[Check] = []
_arrears: list[Arrears] = []


def meter_by(*, check: Check, arrears: Arrears) -> None:
    """Have ``check`` read a tier's metered prices (InvalidRequest when they are none), and ``arrears`` close periods.

    ``arrears(subscriptions)`` is told of each subscription whose present period is being closed, before the next
    begins, or that ends within it (``ended_at``); it locks the wallets that it looks at, and answers what each
    organization owes by meters and has not been asked for, in USD.
    """
    _check[:], _arrears[:] = [check], [arrears]


def checked_metered_prices(prices: Any) -> list[dict[str, Any]]:
    """The prices as they are stored. Raises InvalidRequest."""
    if not prices:
        return []
    if not _check:
        raise InvalidRequest("There are no meters.")
    return _check[0](prices)


def metered_arrears(subscriptions: Sequence["Subscription"]) -> list[Decimal]:
    """What each subscription's organization owes by meters for the period that ends and those before it."""
    return _arrears[0](subscriptions) if _arrears else [ZERO] * len(subscriptions)


def close_meters(subscription: "Subscription") -> None:
    """Note what a subscription that ends within its period owes by meters; the organization's next bill asks for it."""
    if subscription.tier.metered_prices:
        metered_arrears([subscription])
