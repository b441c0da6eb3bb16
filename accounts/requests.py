"""The request as API views see it."""

from rest_framework.request import Request

from accounts.principal import Principal


class ApiRequest(Request):
    """A request that HasScope has let through: it knows who is asking. For annotations."""

    auth: Principal
