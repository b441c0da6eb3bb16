"""Whose address counts when proxies are in front."""

import pytest

from accounts.addresses import client_address


@pytest.mark.parametrize(
    ("trusted", "header", "address"),
    [
        (0, "1.1.1.1", "9.9.9.9"),
        (1, None, "9.9.9.9"),
        (1, "1.1.1.1", "1.1.1.1"),
        (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (2, "6.6.6.6, 1.1.1.1, 10.0.0.1", "1.1.1.1"),
        (3, "1.1.1.1, 10.0.0.1", "1.1.1.1"),
    ],
)
def test_the_address_is_the_one_that_the_outermost_trusted_proxy_saw(settings, trusted, header, address):
    settings.TRUSTED_PROXY_COUNT = trusted
    assert client_address("9.9.9.9", header) == address
