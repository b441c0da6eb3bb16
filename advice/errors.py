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
