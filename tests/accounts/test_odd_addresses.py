"""Addresses that nobody's browser makes: days off the calendar, positions that are none, NULs. Never a server error."""

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import Organization, User
from tests.builders import make_customer, make_user, sign_in
from tiers.catalogue import MANAGED_CREDITS, load_catalogue

pytestmark = pytest.mark.django_db

NOBODY = "00000000-0000-7000-8000-000000000000"
FIRST, LAST = "0001-01-01", "9999-12-31"
EARLY, LATE = f"{FIRST}T00:00:00%2B23:59~{NOBODY}", f"{LAST}T23:59:59-23:59~{NOBODY}"
LISTS = ("/usage/", "/usage/events/", "/models/x/", "/transactions/", "/notifications/", "/payments/")
QUERIES = (
    *(f"start={FIRST}", f"start={FIRST}&kind=chat", f"end={FIRST}", "end=0001-01-15"),
    *(f"start={LAST}", f"end={LAST}", f"end={LAST}&kind=chat"),
    *(
        f"before={EARLY}",
        f"before={EARLY}&kind=chat",
        f"after={LATE}",
        f"after={LATE}&kind=chat",
        "before=x",
        "after=~",
    ),
    *("tag=%00", "model=%00", "q=%00", "by=tag&tag=%00", "member=x&key=y", "days=99999999999999999999"),
)
PATHS = (
    *("/models/%00/", "/models/a/%00/", "/invitations/%00/", "/checkout/%00", "/checkout/test/%00/", "/api/v1/%00"),
    *(f"/lab/calls/{NOBODY}/?likely=NaN&worst=sNaN", "/lab/?model=%00", "/plan/switch/?tier=%00"),
)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_odd_addresses_are_answered(settings, zone):
    settings.PAYMENT_PROVIDER = "manual"
    load_catalogue(name=MANAGED_CREDITS, at=timezone.now())
    owner = make_user()
    make_customer(owner=owner, tier_slug="enterprise")
    for table in (Organization, User):
        table.objects.update(time_zone=zone)
    browser = sign_in(owner)
    found = {}
    for address in (*(f"{page}?{query}" for page in LISTS for query in QUERIES), *PATHS):
        with transaction.atomic():  # a statement that fails is named below, and spoils none of the others
            try:
                found[address] = browser.get(address).status_code
            except Exception as error:
                found[address] = repr(error)[:80]
                transaction.set_rollback(True)
    assert {each: came for each, came in found.items() if came not in (200, 302, 404)} == {}
