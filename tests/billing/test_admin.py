"""Operators see what organizations sell, change nothing of it, and never see what would let them pay or be paid."""

import pytest
from django.urls import reverse

from billing.models import Checkout, MeterCredit
from tests.billing.selling import (
    PAYS,
    after,
    fixed,
    make_benefit,
    make_buyer,
    make_meter,
    make_product,
    metered,
    subscribe,
)
from tests.builders import make_organization, make_user, sign_in

pytestmark = pytest.mark.django_db

MODELS = ("benefit", "charge", "checkout", "customer", "customermeter", "customersubscription", "metercredit")


def test_every_page_opens_and_offers_no_change():
    from django.apps import apps

    merchant = make_organization(name="Northwind")
    meter = make_meter(merchant)
    plan = make_product(merchant, fixed(1000), metered(meter, "0.5"), benefits=[make_benefit(merchant, meter)])
    subscription = subscribe(make_buyer(merchant, email="ada@example.com"), plan)
    client = sign_in(make_user(is_staff=True, is_superuser=True))
    secret = Checkout.objects.get().client_secret
    for name in (*MODELS, "order", "product"):
        row = apps.get_model("billing", name).objects.first()
        listed = client.get(reverse(f"admin:billing_{name}_changelist"))
        shown = client.get(reverse(f"admin:billing_{name}_change", args=[row.pk]))
        assert (listed.status_code, shown.status_code) == (200, 200), name
        for page in (listed.content.decode(), shown.content.decode()):
            assert secret not in page and PAYS not in page and 'name="_save"' not in page, name
        searched = client.get(reverse(f"admin:billing_{name}_changelist"), {"q": "ada"})
        assert searched.status_code == 200, name
    assert subscription.current_period_end > after(days=1)


def test_the_ledger_refuses_to_be_edited():
    from django.db import IntegrityError, transaction

    merchant = make_organization()
    plan = make_product(merchant, benefits=[make_benefit(merchant, make_meter(merchant))])
    subscribe(make_buyer(merchant), plan)
    for change in (lambda rows: rows.update(applied=5), lambda rows: rows.delete()):
        with pytest.raises(IntegrityError), transaction.atomic():
            change(MeterCredit.objects.all())
    assert MeterCredit.objects.get().applied == 1000
