"""What metering refuses."""

from collections.abc import Sequence

from core.errors import DomainError, InvalidRequest, NotFound


class InvalidPrice(DomainError):
    """A price list that cannot be read exactly: negative, not a number, or of an unknown shape."""

    code = "invalid_price"
    status = 400
    title = "This is not a price list that can be charged exactly."


class UnpriceableCall(DomainError):
    """The call's cost has no finite upper bound, so it is not admitted: an unknown price is never free."""

    code = "unpriceable_call"
    status = 400
    title = "The most that this call may cost is not known."


class UnknownEvent(NotFound):
    """No such usage event in this organization."""

    code = "unknown_event"
    title = "No such usage event."


class AlreadyCorrected(DomainError):
    """An event is voided or replaced once; ``replacement_id`` names the event that counts now, if any."""

    code = "event_already_corrected"
    status = 409
    title = "This event was already voided or replaced."


class ChargeGivenBack(DomainError):
    """Something of the event's charge was given back: charged anew, all of it would be charged."""

    code = "charge_given_back"
    status = 409
    title = "Something of this charge was given back: whoever was given it would pay it again."


class TooManyGroups(DomainError):
    """An answer is made in memory; one of more than ``most`` rows is to be asked in parts."""

    code = "too_many_rows"
    status = 422
    title = "This answer has too many rows. Ask for fewer days, or by fewer things."


class UnknownModel(DomainError):
    """Tokens of a model without a price: an unknown price is never free."""

    code = "unknown_model"
    status = 422
    title = "No price is known for this model."


class UnpricedUsage(DomainError):
    """The price list says nothing about something that was used; ``unpriced`` names it."""

    code = "unpriced_usage"
    status = 422
    title = "A part of this usage has no price."


class AmountTooLarge(DomainError):
    """An event that costs more than anything that can be real."""

    code = "amount_too_large"
    status = 422
    title = "The amount is too large to be one event's."


class ByokNotIncluded(DomainError):
    """Usage with the customer's own key on a tier that does not include that."""

    code = "byok_not_allowed"
    status = 403
    title = "Your plan does not include using your own provider key."


class NegativeUsage(DomainError):
    """A meter that is charged for would count backwards."""

    code = "negative_usage"
    status = 422
    title = "What is charged for is reported from zero up. Void or correct the event that was wrong."


class NoSuchModel(DomainError):
    """No model of that name has a price: an unknown price is never free."""

    code = "model_not_found"
    status = 404
    title = "There is no such model."


class ModelNotIncluded(DomainError):
    """The tier, or the API key's own list, does not include the model."""

    code = "model_not_allowed"
    status = 403
    title = "Your tier or your key does not include this model."


class InvalidMeter(InvalidRequest):
    """A definition that is no meter's; ``problems`` has (place, code, words) for each thing that is wrong with it."""

    code = "invalid_meter"
    title = "This does not define a meter."

    def __init__(self, problems: "Sequence[tuple[tuple[str | int, ...], str, str]]" = ()) -> None:
        self.problems = list(problems)
        errors = [
            {"field": ".".join(map(str, place)), "code": code, "detail": words} for place, code, words in problems
        ]
        super().__init__("; ".join(f"{one['field']}: {one['detail']}" for one in errors), errors=errors)


class UnknownMeter(NotFound):
    """No such meter in this organization."""

    code = "unknown_meter"
    title = "No such meter."


class MeterInUse(DomainError):
    """What a meter counts is fixed once it has counted something, or once a tier's price rests on it."""

    code = "meter_in_use"
    status = 409
    title = "This meter has events already: make another one, and archive this."


class TooFineGrained(InvalidRequest):
    """More buckets, or more groups, than an answer holds."""

    code = "too_fine_grained"
    title = "This divides the range into too many parts."


class ReratingNotReady(DomainError):
    """It is not in the state that the step needs, or another one of the same price is in force."""

    code = "rerating_not_ready"
    status = 409
    title = "This re-rating cannot take this step now."
