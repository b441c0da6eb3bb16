"""What people say of themselves."""

from zoneinfo import available_timezones

from accounts.models import User
from core.errors import InvalidRequest

_LONGEST_NAME = 150


def update_profile(*, user: User, name: str, time_zone: str) -> User:
    """Another name (colleagues see it) or time zone (pages show times in it). Raises InvalidRequest."""
    name = " ".join(name.split())
    if len(name) > _LONGEST_NAME:
        raise InvalidRequest(f"A name has at most {_LONGEST_NAME} characters.")
    if time_zone not in available_timezones():
        raise InvalidRequest(f"There is no time zone called {time_zone[:64]!r}.")
    user.name, user.time_zone = name, time_zone
    user.save(update_fields=["name", "time_zone"])
    return user
