"""Merchants and clients with their tokens."""

import pytest

from tests.billing_api.wire import Wire
from tests.builders import make_customer, make_key


@pytest.fixture
def merchant(db):
    return make_customer()


@pytest.fixture
def wire(merchant):
    return Wire(make_key(merchant)[1])
