"""Settings that are read once follow those that tests override."""

import pytest
from django.test import override_settings

from core.plainsettings import settings as plain


def test_an_overridden_setting_is_read_again_and_so_is_its_return(settings):
    was = plain.GATEWAY_ATTEMPTS
    with override_settings(GATEWAY_ATTEMPTS=was + 1):
        assert was + 1 == plain.GATEWAY_ATTEMPTS
    assert was == plain.GATEWAY_ATTEMPTS
    settings.GATEWAY_ATTEMPTS = was + 2
    assert plain.GATEWAY_ATTEMPTS == plain.__dict__["GATEWAY_ATTEMPTS"] == was + 2


def test_what_is_not_set_is_missing_here_too():
    with pytest.raises(AttributeError):
        plain.NOT_A_SETTING  # noqa: B018
