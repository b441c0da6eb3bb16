"""Every page there is, read from the URL table: one that is added later is looked at too, or the test says so."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from allauth.mfa.models import Authenticator
from django.db.models import Q
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey, Membership, Organization, User
from accounts.principal import Actor
from accounts.services import add_member
from billing.models import Checkout, Customer
from billing.services import begin_session
from credits.models import EntryKind, LedgerEntry, Statement
from metering.services.price_book import load_price_seed
from openrouter.models import ByokCredential, ProviderAccount
from outbox.models import EmailDelivery, WebhookDelivery, WebhookEndpoint, WebhookMessage
from payments.models import Payment
from payments.services import add_discount, open_checkout, open_saving, set_auto_top_up
from reports.letters import unsubscribe_link
from reports.models import Recipient
from tests.api import belongings
from tests.api.routes import Route, all_routes
from tests.billing.selling import buy, fixed, make_buyer, make_product
from tests.billing.selling import open_checkout as offer
from tests.browser import stage
from tests.builders import make_user, usd
from tests.payments.building import ask_for, with_card
from tiers.services import subscribe

# Answers to whoever asks for them by a form, a script or a provider: no page of their own.
NO_PAGES = {"lab_outcome", "report_file", "statement_csv", "statement_pdf", "transactions_csv"}
# Shown to visitors, or by the login library, and listed below by hand; the API's reference is another's page.
ELSEWHERE = {"home", "invitation", "api-docs"}
_NOBODY = "01890000-0000-7000-8000-000000000000"
_STATES = ("succeeded", "refunded", "canceled", "failed", "processing")


@dataclass(frozen=True)
class World:
    """An organization with some of everything, and another person in it."""

    customer: Organization
    colleague: Membership
    checkouts: list[str]  # addresses of pages to pay on

    @property
    def owner(self):
        return self.customer.memberships.get(role="owner").user


def furnish() -> World:
    """Everything that a page can show; payments go to the test provider."""
    now = timezone.now()
    load_price_seed(at=now - timedelta(days=30))
    customer = stage.furnish()
    subscribe(organization_id=customer.id, tier_slug="enterprise", at=now)  # which has everything that pages show
    belongings.furnish(customer)
    member = add_member(
        organization_id=customer.id, user=make_user(name="Grace Hopper"), role="admin", actor=Actor("test"), at=now
    )
    _fail_a_webhook(customer)
    ProviderAccount.objects.update_or_create(
        organization=customer,
        defaults={"name": "farebox", "hash": "0" * 64, "status": "active", "last_synced_at": now},
    )
    ByokCredential.objects.create(organization=customer, secret="sk-or-v1-own", last_four="4711", verified_at=now)
    _lengthen_names(customer)
    return World(customer, member, [*_pay(customer), *_sell(customer)])


def _lengthen_names(customer: Organization) -> None:
    """Names as long as they may be, some of one word: no page grows wider than the screen by them."""
    name = f"The Society of {'Donaudampfschifffahrt' * 3} and {'Extraordinary ' * 2}Names"
    Organization.objects.filter(Q(pk=customer.pk) | Q(live_organization=customer)).update(name=name)
    User.objects.filter(memberships__organization=customer).update(name=name[:80])
    ApiKey.objects.filter(organization=customer).update(name=name[15:95])


def _pay(customer: Organization) -> list[str]:
    """Payments in every state; the addresses of the pages to pay and to save a card on."""
    now = timezone.now()
    with_card(customer, "test_card_later")
    rule = {"threshold": usd("5"), "amount": usd("25"), "monthly_cap": usd("100"), "actor": "ada@example.com"}
    set_auto_top_up(organization_id=customer.id, at=now, **rule)
    add_discount(
        organization_id=customer.id, percent=usd("20"), applies_to="any", uses=1, key="c", source="EARLYBIRD", at=now
    )
    for status in _STATES:
        payment = ask_for(customer, "25", at=now, actor="ada@example.com")
        Payment.objects.filter(pk=payment.pk).update(status=status, paid_at=now, failure_message="It was declined.")
    terms = {"subject": {"description": "Professional, 2 March to 2 April"}, "credits": "50", "collection": "automatic"}
    owed = ask_for(customer, "50", at=now, purpose="overage", **terms)
    Payment.objects.filter(pk=owed.pk).update(failure_code="card_declined", failure_message="The card was declined.")
    page = open_checkout(payment_id=ask_for(customer, "25", at=now).pk, at=now)
    return [page.checkout_url, open_saving(organization_id=customer.id)]


def _sell(merchant: Organization) -> list[str]:
    """A checkout of the organization's own customers that is open, one that is paid, and one that has expired."""
    now, buyer, product = timezone.now(), make_buyer(merchant), make_product(merchant, fixed(1000))
    paid, late = buy(buyer, product, at=now), offer(buyer, product, at=now)
    Checkout.objects.filter(pk=late.pk).update(expires_at=now - timedelta(days=1))
    made = (offer(buyer, product, at=now), paid, late)
    return [f"/checkout/{each.client_secret}" for each in made]


def _fail_a_webhook(customer: Organization) -> None:
    message = WebhookMessage.objects.filter(endpoint__organization=customer).latest("id")
    told = {"number": 1, "succeeded": False, "duration_ms": 10, "created_at": timezone.now(), "problem": "No answer."}
    WebhookDelivery.objects.create(message=message, event=message.event, endpoint=message.endpoint, **told)


# The pages about one thing, by the name of their route; those not named here are shown about anything that they open.
ABOUT: dict[str, Callable[[World], list[object]]] = {
    "api_key": lambda world: [_key(world)],
    "api_key_revoke": lambda world: [_key(world)],
    "api_key_rotate": lambda world: [_key(world)],
    "billing_checkout": lambda world: [],  # world.checkouts
    "billing_portal": lambda world: [begin_session(customer=_buyer(world), at=timezone.now())[1]],
    "budget": lambda world: [world.customer.budgets.first().id],
    "budget_change": lambda world: [world.customer.budgets.first().id],
    "member": lambda world: [world.colleague.id, world.customer.memberships.get(role="owner").id],
    "model": lambda world: ["anthropic/claude-sonnet-4.5", "openai/gpt-4o-mini"],
    "payment": lambda world: _one_of_each_status(world),
    "payment_sandbox": lambda world: [],  # world.checkouts
    "report": lambda world: [world.customer.reports.first().id],
    "report_preview": lambda world: [world.customer.report_subscriptions.first().id],
    "report_recipients": lambda world: [world.customer.report_subscriptions.first().id],
    "report_unsubscribe": lambda world: [_way_off_a_list(world)],
    "statement": lambda world: Statement.objects.filter(organization=world.customer).values_list("id", flat=True)[:1],
    "team_dashboard": lambda world: [world.customer.teams.first().id],
    "team_settings": lambda world: [world.customer.teams.first().id],
    "transaction": lambda world: [_charges(world).filter(reversals__isnull=False)[0].id],
    "usage_event": lambda world: [
        _charges(world).filter(reversals__isnull=False)[0].event_id,
        _charges(world).filter(hold_id__isnull=False)[0].event_id,
    ],
    "what_if_run": lambda world: [world.customer.what_ifs.first().id],
    "webhook": lambda world: [_endpoint(world)],
    "webhook_change": lambda world: [_endpoint(world)],
    "webhook_rotate": lambda world: [_endpoint(world)],
    "webhook_message": lambda world: [WebhookMessage.objects.filter(endpoint=_endpoint(world)).latest("id").id],
}
# The same pages once more, asked for something else.
ALSO = [
    *("/dashboard/?days=90", "/usage/?by=tag&metric=tokens", "/usage/?by=member&days=7", "/usage/events/?kind=tts"),
    *("/transactions/?q=nothing+like+it", "/plan/switch/?tier=starter", "/payments/buy/?credits=50"),
    *("/models/?price=free&sort=context", "/models/?q=nothing+like+it", "/lab/?model=openai/gpt-4o-mini"),
]
OF_THE_LOGIN_LIBRARY = [
    *("/accounts/email/", "/accounts/password/change/", "/accounts/logout/", "/accounts/sessions/", "/accounts/2fa/"),
    *("/accounts/2fa/totp/activate/", "/accounts/2fa/webauthn/", "/accounts/2fa/webauthn/add/"),
]
FOR_VISITORS = [
    *("/", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/accounts/password/reset/done/"),
    *("/accounts/confirm-email/", "/accounts/confirm-email/x/", "/accounts/inactive/"),
    *("/accounts/password/reset/key/a-b/", "/accounts/password/reset/key/done/", "/api/docs/errors/", "/nothing-here/"),
]


def of_members(world: World, client: Client) -> list[str]:
    """Everything that a member can open; ``client`` is one of theirs."""
    return [*_of_the_url_table(world, client), *ALSO, *OF_THE_LOGIN_LIBRARY, *world.checkouts]


def _of_the_url_table(world: World, client: Client) -> list[str]:
    found: list[str] = []
    for route in all_routes():
        if route.is_api or route.name in NO_PAGES | ELSEWHERE:
            continue
        if not route.parameters:
            found += [route.path("")] if _is_page(client, route.path("")) else []
        elif route.name in ABOUT:
            found += [route.path(value) for value in ABOUT[route.name](world)]
        else:
            found += _first_that_opens(route, world, client)
    return found


def _first_that_opens(route: Route, world: World, client: Client) -> list[str]:
    """The page of something that the organization owns; nothing for what takes forms alone, and for files."""
    for identifier in (_NOBODY, *sorted(belongings.ids_of(world.customer), key=str)):
        answer = client.get(route.path(identifier))
        if answer.status_code == 405:
            return []
        if answer.status_code == 200:
            return [route.path(identifier)] if _is_whole(answer) else []
    raise AssertionError(f"tests/browser/pages.py has nothing that {route.name} could be about")


def _is_page(client: Client, path: str) -> bool:
    return _is_whole(client.get(path))


def _is_whole(answer) -> bool:
    return answer.status_code == 200 and not answer.streaming and answer.content.lstrip()[:9].lower() == b"<!doctype"


def _charges(world: World):
    return LedgerEntry.objects.filter(account_id=world.customer.id, kind=EntryKind.CHARGE)


def _key(world: World):
    return world.customer.api_keys.filter(revoked_at__isnull=True).first().id


def _buyer(world: World) -> Customer:
    return Customer.objects.filter(organization=world.customer).earliest("created_at")


def _way_off_a_list(world: World) -> str:
    letter = unsubscribe_link(Recipient.objects.filter(subscription__organization=world.customer).first().id)
    return letter.rstrip("/").rpartition("/")[2]


def _endpoint(world: World):
    return WebhookEndpoint.objects.filter(organization=world.customer).latest("id").id


def _one_of_each_status(world: World) -> list[object]:
    by_status = {each.status: each.id for each in Payment.objects.filter(organization=world.customer)}
    return list(by_status.values())


def invitation_to(address: str) -> str:
    """The way in from the letter to somebody who is invited."""
    mail = EmailDelivery.objects.filter(recipient=address, body__contains="/invitations/").latest("id")
    return re.search(r"/invitations/[\w-]+/", mail.body)[0]


def of_second_factors(person: User) -> list[str]:
    """What the login library shows to somebody with an app, recovery codes and a passkey."""
    base = "/accounts/2fa/"
    passkey = Authenticator.objects.get(user=person, type=Authenticator.Type.WEBAUTHN).pk
    codes = (f"{base}recovery-codes/", f"{base}recovery-codes/generate/")
    keys = (f"{base}webauthn/", f"{base}webauthn/keys/{passkey}/edit/", f"{base}webauthn/keys/{passkey}/remove/")
    return [base, f"{base}totp/deactivate/", *codes, *keys]
