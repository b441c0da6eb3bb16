"""What meters take in a what-if: as recorded, and counted anew by another tier's prices; worked by hand."""

from datetime import timedelta

import pytest

from advice.services import start_what_if
from advice.what_if.change import Change
from advice.what_if.reading import Asked
from metering.metered.terms import checked_metered_prices
from metering.models import Meter
from tests.builders import NOON, usd
from tests.metering import metered
from tiers.models import Tier

pytestmark = pytest.mark.django_db
NEXT_MONTH = NOON + timedelta(days=30)


def test_meters_take_what_was_recorded_or_what_another_tier_would():
    organization = metered.make_metered(metered.VOLUME, credit="1000")
    metered.use(organization, 90, 20)  # 90 USD; then 110 cost 55, so the second adds nothing
    metered.use(organization, 30, at=NEXT_MONTH)  # of the same period: 140 cost 70
    name = Meter.objects.get().name
    prices = checked_metered_prices([{"meter": name, "mode": "priced", "price": metered.GRADUATED}])
    for slug, own in (("other", prices), ("plain", [])):
        Tier.objects.create(slug=slug, name=slug, components=[], metered_prices=own)
    asked = Asked(NOON - timedelta(days=1), NEXT_MONTH + timedelta(days=1), {})

    def spend(**change):
        run = start_what_if(
            organization_id=organization.pk, asked=asked, change=Change(**change), requested_by="t", at=NEXT_MONTH
        )
        figures = run.result["recorded"], run.result["replayed"]
        assert all(each["charge"] == "0" and each["spend"] == each["metered"] for each in figures)
        return tuple(usd(each["metered"]) for each in figures), run.result["stopped"]["events"]

    assert spend(markup_percent=usd("5")) == ((105, 105), 0)
    # 10 of 110 are included, 10 cost a dollar, 90 half a dollar; of 30 in the next month 10, 10 and 10
    assert spend(tier="other") == ((105, 55 + 15), 0)
    assert spend(tier="plain") == ((105, 0), 0)
    # the first would cost 45, the second with it 55, after it is stopped 10: 10 included, 10 of a dollar
    assert spend(tier="other", cap=usd("40")) == ((105, 10 + 15), 1)
