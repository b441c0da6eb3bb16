"""``manage.py load_demo_billing``: customers in every state of paying, for the back office; once, safe to run again."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Organization, User
from accounts.principal import Actor
from accounts.services import create_organization, set_suspended
from core import jsonio
from credits.services import deduct_credits
from outbox.models import Outcome
from outbox.taskruns import record_run
from payments import services as payments
from payments.models import Payment
from payments.providers.reports import DisputeReport
from payments.providers.sandbox import CARDS, facts_of
from payments.services.disputes import record_dispute
from payments.services.incoming import Message
from payments.webhooks.sandbox import message_of
from tiers import services
from tiers.close.services import close_organization
from tiers.models import Collection, Subscription, Tier

_LOCK = 0x62696C6C  # "bill"
ACTOR = Actor("demo data")
_DAY = timedelta(days=1)
_FIRST = "Juniper Analytics"
_AGREED: dict[str, Any] = {
    "slug": "quarry-agreement",
    "name": "Quarry agreement",
    "description": "Agreed with one customer, not on offer: 60 USD a month, and 25 below zero until the month ends.",
    "monthly_price": Decimal(60),
    "monthly_credit": Decimal(60),
    "overage_limit": Decimal(25),
    "is_public": False,
    "position": 90,
}


class Command(BaseCommand):
    """One whose card is declined, one who pays and will pay less, one who may go below zero, one on invoice and
    suspended, one sold elsewhere."""

    help = "Load demo customers with payments, subscriptions and disputes in every state (test cards only)."

    def handle(self, *args: Any, **options: Any) -> None:
        """All of it or nothing."""
        if settings.PAYMENT_PROVIDER != "sandbox":
            self.stdout.write("Not loaded: these customers pay with test cards (PAYMENT_PROVIDER=sandbox).")
            return
        with transaction.atomic():
            _wait_for_others()
            if Organization.objects.live().filter(name=_FIRST).exists():
                self.stdout.write("The demo of billing is there already.")
                return
            now = timezone.now()
            for tell in _STORIES:
                tell(now)
        self.stdout.write(f"Demo of billing: {Payment.objects.count()} payments.")


def _wait_for_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _who_is_declined(now: datetime) -> None:
    """A renewal that fails and is tried again, and a purchase that is disputed with the bank."""
    began = now - 33 * _DAY
    customer = _customer(_FIRST, "mara@juniper.example", began)
    _save_card(customer, "test_card_ok", began)
    _switch(customer, "starter", began)
    _dispute(_buy(customer, "15", began + 9 * _DAY), began + 20 * _DAY)
    _save_card(customer, "test_card_later", began + 21 * _DAY)
    subscription = Subscription.objects.open().get(organization=customer)
    boundary = subscription.period_ends_at
    close_organization(customer.id, boundary)
    renewal = Payment.objects.get(organization=customer, status="open", purpose="subscription")
    for late in (timedelta(minutes=1), _DAY + timedelta(minutes=1)):
        payments.submit_payment(payment_id=renewal.id, at=boundary + late)


def _who_pays(now: datetime) -> None:
    """Credit bought, given up, refunded in part and just being bought; a lesser tier from the next month on."""
    began = now - 20 * _DAY
    customer = _customer("Alder & Vale", "tomas@alder.example", began)
    _save_card(customer, "test_card_ok", began)
    _switch(customer, "professional", began)
    _buy(customer, "25", began + 4 * _DAY)
    returned = _buy(customer, "40", began + 6 * _DAY)
    words = "Ordered the wrong amount"
    at = began + 7 * _DAY
    payments.refund_payment(payment_id=returned.id, amount=Decimal(30), reason=words, actor=ACTOR.label, at=at)
    payments.submit_payment(payment_id=returned.id, at=at)
    given_up = _ask(customer, "10", began + 8 * _DAY)
    payments.cancel_payment(payment_id=given_up.id, actor="tomas@alder.example", at=began + 8 * _DAY)
    _ask(customer, "60", now - timedelta(hours=2))
    terms: dict[str, Any] = {"threshold": Decimal(5), "amount": Decimal(20), "monthly_cap": Decimal(100)}
    payments.set_auto_top_up(organization_id=customer.id, actor="tomas@alder.example", at=at, **terms)
    _switch(customer, "starter", now - 3 * _DAY)


def _who_goes_below_zero(now: datetime) -> None:
    """On a tier that was agreed with them: overage billed and paid with the renewal, then a top-up at each shortage."""
    began = now - 45 * _DAY
    if not Tier.objects.filter(slug=_AGREED["slug"]).exists():
        services.create_tier(at=began, **_AGREED)
    customer = _customer("Quarry Robotics", "kofi@quarry.example", began)
    _save_card(customer, "test_card_ok", began)
    terms: dict[str, Any] = {"tier_slug": _AGREED["slug"], "collection": Collection.AUTOMATIC, "actor": ACTOR}
    subscription = services.subscribe(organization_id=customer.id, at=began, reason="Framework agreement", **terms)
    _charge(services.begin_period(subscription=subscription, at=began))
    for day, use in ((6, "27.5"), (14, "31.20"), (24, "23.64")):
        _use(customer, use, began + day * _DAY)
    boundary = subscription.period_ends_at
    close_organization(customer.id, boundary)
    for asked in Payment.objects.filter(organization=customer, status="open"):
        payments.submit_payment(payment_id=asked.id, at=boundary + timedelta(minutes=1))
    rule: dict[str, Any] = {"threshold": Decimal(10), "amount": Decimal(25), "monthly_cap": Decimal(60)}
    payments.set_auto_top_up(organization_id=customer.id, actor="kofi@quarry.example", at=boundary + _DAY, **rule)
    for day, use in ((4, "44.80"), (8, "21.35"), (12, "24.90")):
        at = boundary + day * _DAY
        _use(customer, use, at)
        _charge(payments.evaluate_top_up(organization_id=customer.id, at=at + timedelta(seconds=20)))


def _who_is_suspended(now: datetime) -> None:
    """On invoice, not paid, and stopped."""
    began = now - 12 * _DAY
    customer = _customer("Fjord Press", "ines@fjord.example", began)
    terms: dict[str, Any] = {"tier_slug": "enterprise", "collection": Collection.MANUAL, "actor": ACTOR}
    subscription = services.subscribe(organization_id=customer.id, at=began, reason="Framework agreement", **terms)
    services.begin_period(subscription=subscription, at=began)
    set_suspended(
        organization_id=customer.id, suspended=True, reason="Invoice unanswered", actor=ACTOR, at=now - 2 * _DAY
    )


def _who_bought_elsewhere(now: datetime) -> None:
    """On a tier that a shop sells and collects, with one message that nobody could follow."""
    customer = _customer("Tidal Studio", "noor@tidal.example", now - 8 * _DAY)
    sale: dict[str, Any] = {"id": "sub_demo_1", "customer": {"external_id": str(customer.id)}}
    paid = {"id": "order_demo_1", "net_amount": 3000, "currency": "usd", "subscription_id": "sub_demo_1"}
    for number, (type, tier, data) in enumerate(
        [
            ("order.paid", "starter", {**sale, **paid}),
            ("subscription.active", "starter", sale),
            ("subscription.active", "platinum", {**sale, "id": "sub_demo_2"}),
        ]
    ):
        payload = {"type": type, "data": {**data, "metadata": {"tier": tier}}}
        message = Message("standard:shop", f"msg_demo_{number}", type, payload, jsonio.dumps(payload))
        _hear(message, now - 7 * _DAY + timedelta(minutes=number))


def _jobs_of_yesterday(now: datetime) -> None:
    """One run that failed and the one after it that did not."""
    name, began = "openrouter.tasks.sync_models", now - _DAY
    times: dict[str, Any] = {"started_at": began, "finished_at": began + timedelta(seconds=30)}
    record_run(task=name, outcome=Outcome.FAILED, error="ProviderUnavailable: no answer within 30 seconds", **times)
    again = began + timedelta(hours=1)
    record_run(task=name, rows=4, started_at=again, finished_at=again + timedelta(seconds=2))


_STORIES = (
    _who_is_declined,
    _who_pays,
    _who_goes_below_zero,
    _who_is_suspended,
    _who_bought_elsewhere,
    _jobs_of_yesterday,
)


def _customer(name: str, email: str, at: datetime) -> Organization:
    owner = User.objects.filter(email=email).first() or User.objects.create_user(email=email)
    return create_organization(name=name, owner=owner, tier_slug="free", is_signup=True, actor=ACTOR, at=at)


def _save_card(customer: Organization, card: str, at: datetime) -> None:
    facts = facts_of(CARDS[card], customer.id)
    payments.save_method(organization_id=customer.id, provider="sandbox", facts=facts, actor=ACTOR.label, at=at)


def _switch(customer: Organization, slug: str, at: datetime) -> None:
    outcome = services.switch_tier(organization_id=customer.id, tier_slug=slug, at=at, actor=ACTOR)
    if outcome.payment is not None:
        payments.submit_payment(payment_id=outcome.payment.id, at=at)


def _use(customer: Organization, amount: str, at: datetime) -> None:
    deduct_credits(
        organization_id=customer.id, amount=Decimal(amount), reason="Robots’ nightly runs", actor=ACTOR.label, at=at
    )


def _charge(payment: Payment | None) -> None:
    """The beat's next step, when it is due."""
    if payment is not None and payment.retry_at is not None:
        payments.submit_payment(payment_id=payment.id, at=payment.retry_at)


def _ask(customer: Organization, credits: str, at: datetime) -> Payment:
    return payments.buy_credits(organization_id=customer.id, credits=Decimal(credits), actor=ACTOR.label, at=at)


def _buy(customer: Organization, credits: str, at: datetime) -> Payment:
    payment = _ask(customer, credits, at)
    _hear(message_of("payment.tried", payment.id, "test_card_ok"), at)
    payment.refresh_from_db()
    return payment


def _dispute(payment: Payment, at: datetime) -> None:
    report = DisputeReport(
        payment.provider, payment.provider_reference, "dispute_demo_1", payment.amount, "product_not_received", "open"
    )
    record_dispute(payment, report, at=at)


def _hear(message: Message, at: datetime) -> None:
    event, _ = payments.receive_event(message, at=at)
    payments.process_incoming_event(event_id=event.id, at=at)
