"""What several bodies share: metadata, addresses, e-mail addresses, and which fields were sent."""

from decimal import Decimal
from typing import Annotated, Any

import msgspec
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from msgspec import UNSET, Meta

from billing_api.countries import COUNTRIES
from billing_api.errors import Place, Problem, RequestInvalid

Metadata = Annotated[dict[Annotated[str, Meta(min_length=1, max_length=40)], Any], Meta(max_length=50)]
_LONGEST = 500


class Address(msgspec.Struct, kw_only=True):
    """A postal address; ``country`` is an ISO 3166-1 code of two letters."""

    country: Annotated[str, Meta(min_length=2, max_length=2)]
    line1: Annotated[str, Meta(max_length=255)] | None = None
    line2: Annotated[str, Meta(max_length=255)] | None = None
    postal_code: Annotated[str, Meta(max_length=40)] | None = None
    city: Annotated[str, Meta(max_length=255)] | None = None
    state: Annotated[str, Meta(max_length=100)] | None = None


def sent(body: msgspec.Struct, *names: str) -> dict[str, Any]:
    """The fields among ``names`` that the client sent."""
    return {name: getattr(body, name) for name in names if getattr(body, name) is not UNSET}


def checked_metadata(values: dict[str, Any], place: Place | None = None) -> dict[str, Any]:
    """Metadata ready to be stored. Raises RequestInvalid for values that are not plain."""
    place = place or ["body", "metadata"]
    problems = [
        Problem([*place, key], "Values are text of at most 500 characters, numbers or booleans.", "metadata")
        for key, value in values.items()
        if not _is_plain(value)
    ]
    if problems:
        raise RequestInvalid(problems)
    return {key: stored_number(value) if isinstance(value, Decimal) else value for key, value in values.items()}


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return isinstance(value, Decimal) and (not value or -308 <= value.adjusted() < 308)


def stored_number(value: Decimal) -> Any:
    """A number with a point as the database's JSON takes it: the double that clients read it into anyway."""
    return msgspec.json.decode(f"{value:f}" if "." in f"{value:f}" else f"{value:f}.0")


def checked_email(email: str, place: Place) -> str:
    """The address without blanks around it. Raises RequestInvalid when it cannot be one."""
    try:
        validate_email(email.strip())
    except ValidationError:
        raise RequestInvalid([Problem(place, "value is not a valid email address", "value_error", email)]) from None
    return email.strip()


def checked_address(address: Address | None, place: Place) -> dict[str, Any] | None:
    """The address as it is stored. Raises RequestInvalid for an unknown country."""
    if address is None:
        return None
    if address.country not in COUNTRIES:
        raise RequestInvalid([Problem([*place, "country"], "Unknown country.", "enum", address.country)])
    return {name: getattr(address, name) for name in address.__struct_fields__}
