"""What advice refuses."""

from core.errors import DomainError, NotFound


class UnknownWhatIf(NotFound):
    """No such what-if of this organization."""

    code = "unknown_what_if"
    title = "There is no such what-if."


class TooManyWhatIfs(DomainError):
    """Some are still being computed; ``running`` says how many."""

    code = "too_many_what_ifs"
    status = 409
    title = "Other what-ifs of this organization are still being computed."


class UnknownRecommendation(NotFound):
    """No such recommendation of this organization."""

    code = "unknown_recommendation"
    title = "There is no such recommendation."


class RecommendationDecided(DomainError):
    """It is not in the state that the decision needs; ``state`` says in which."""

    code = "recommendation_decided"
    status = 409
    title = "This recommendation was decided on before."


class NotApplicable(DomainError):
    """The gateway cannot carry it out; it is for people to do."""

    code = "recommendation_not_applicable"
    status = 409
    title = "The gateway cannot carry this recommendation out."


class UnknownWrittenAdvice(NotFound):
    """No such written advice of this organization."""

    code = "unknown_written_advice"
    title = "There is no such written advice."


class AdviceNotConfigured(DomainError):
    """The operator has set up no key for calls of the platform itself."""

    code = "advice_not_configured"
    status = 409
    title = "Written advice is not set up here: the operator has configured no provider key for it."


class NothingToAdviseOn(DomainError):
    """There are no figures to write from."""

    code = "nothing_to_advise_on"
    status = 409
    title = "Nothing was used on the last thirty whole days."


class AdviceBeingWritten(DomainError):
    """One at a time; ``advice_id`` says which."""

    code = "advice_being_written"
    status = 409
    title = "Advice is being written already."


class AdviceTooSoon(DomainError):
    """The figures are those of the last advice, or enough was asked for today; ``again_at`` says when it may be."""

    code = "advice_too_soon"
    status = 409
    title = "The figures have not changed since the last advice."
