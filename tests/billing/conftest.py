"""A merchant that sells tokens."""

import pytest

from tests.billing.selling import make_meter
from tests.builders import make_organization


@pytest.fixture
def merchant():
    return make_organization()


@pytest.fixture
def tokens(merchant):
    return make_meter(merchant)
