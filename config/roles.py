"""What operators may do: two groups below the superuser, kept in step with this table by every ``migrate``.

``support`` reads, and tries again what failed; it decides nothing and moves no money. ``billing`` does that too, moves
money, and edits prices, tiers and coupons. People, their powers, keys of customers and provider accounts are a
superuser's. An operator without a group sees nothing. Any other division of work is a group of one's own.
"""

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import Q

SUPPORT, BILLING = "support", "billing"


@dataclass(frozen=True, slots=True)
class Rule:
    """Which of view, add, change, delete each group has on a model; permissions of its own name by their code."""

    support: tuple[str, ...] = ()
    billing: tuple[str, ...] = ()


_READ = ("view",)
READ = Rule(_READ, _READ)
EDIT = Rule(_READ, ("view", "add", "change"))  # billing edits; what it adds or changes goes through a service
OPERATE = Rule(_READ, ("view", "change"))  # billing carries out actions on rows that are made elsewhere
NOBODY = Rule()  # a superuser's alone

# Every model that the back office shows; a test fails for one that is not here.
RULES: dict[str, Rule] = {
    # customers
    "accounts.Organization": OPERATE,  # rename, stop, let go on
    "accounts.Membership": READ,
    "accounts.Team": READ,
    "accounts.ApiKey": READ,
    "accounts.User": READ,
    "accounts.Impersonation": Rule(("view", "impersonate"), ("view", "impersonate")),
    # money
    "credits.CreditAccount": READ,
    "credits.LedgerEntry": Rule(_READ, ("view", "add")),  # "add": grant, deduct, adjust, refund
    "credits.Lot": READ,
    "credits.Hold": READ,
    "credits.SpendLimit": READ,
    "credits.Statement": READ,
    "credits.MovementBatch": READ,  # sending one in and confirming it needs the right to move money
    # payments
    "payments.Payment": OPERATE,  # mark paid, refund, cancel
    "payments.IncomingEvent": OPERATE,  # replay
    "payments.Dispute": READ,
    "payments.PaymentMethod": READ,
    "payments.Discount": READ,
    "payments.AutoTopUp": READ,
    # tiers
    "tiers.Tier": EDIT,
    "tiers.Subscription": EDIT,
    "tiers.PeriodClose": READ,
    # coupons
    "coupons.Coupon": EDIT,  # "change": other limits, end it
    "coupons.CouponBatch": EDIT,  # "add" also downloads the codes
    "coupons.Redemption": READ,
    # usage and prices
    "metering.TokenCalibration": READ,
    "metering.UsageEvent": READ,
    "metering.LanguageModel": OPERATE,  # "change": set a price, follow the provider again
    "metering.ModelPrice": READ,
    "metering.Budget": Rule(_READ, ("view", "change", "delete")),  # customers make them
    "metering.Meter": EDIT,  # "change" also archives; nobody deletes one
    # reports by e-mail: organizations choose them
    "reports.ReportSubscription": READ,
    "reports.Report": READ,
    # what organizations sell to customers of their own
    "billing.Customer": READ,
    "billing.CustomerMeter": READ,
    "billing.MeterCredit": READ,
    "billing.Product": READ,
    "billing.Benefit": READ,
    "billing.Order": READ,
    "billing.CustomerSubscription": READ,
    "billing.Checkout": READ,
    "billing.Charge": READ,
    "billing.Refund": READ,
    # provider
    "openrouter.ProviderAccount": READ,  # "retry" reads it again; rotating and disabling are a superuser's
    "openrouter.ByokCredential": READ,
    "openrouter.RoutingRule": Rule(_READ, ("view", "add", "change", "delete")),
    "openrouter.Attempt": READ,
    "openrouter.ReconciliationDifference": OPERATE,  # explain one
    "openrouter.ReconciliationRun": READ,
    "openrouter.KeyReading": READ,
    "openrouter.ProviderBalance": READ,
    "metering.Rerating": Rule(_READ, ("view", "add")),  # "add" tries, applies and reverses
    # advice: nothing in it moves money or decides anything
    "advice.WhatIfRun": READ,  # "view" also asks
    "advice.Recommendation": READ,
    "advice.RecommendationReview": READ,
    "advice.WrittenAdvice": READ,
    # jobs and audit trail
    "outbox.DomainEvent": Rule(("view", "retry"), ("view", "retry")),
    "outbox.EmailDelivery": READ,
    "outbox.TaskState": READ,
    "outbox.TaskRun": READ,
    "outbox.WebhookEndpoint": READ,  # "retry" switches it on and off, and sends again
    "outbox.WebhookMessage": READ,
    "outbox.WebhookDelivery": READ,
    # people and sign-ins
    "auth.Group": NOBODY,
    "account.EmailAddress": READ,
    "axes.AccessAttempt": READ,
    "axes.AccessFailureLog": READ,
    "axes.AccessLog": READ,
}

_OWN_NAMES = ("retry", "impersonate")


def apply_rules(**_: Any) -> None:
    """Give each group exactly what the table says. Safe to run twice; connected to the end of ``migrate``."""
    from django.contrib.auth.models import Group, Permission

    known = Permission.objects.filter(_permissions_of(RULES)).select_related("content_type")
    by_code = {(each.content_type.app_label, each.codename): each for each in known}
    for name in (SUPPORT, BILLING):
        group, _made = Group.objects.get_or_create(name=name)
        group.permissions.set([by_code[code] for code in codes_of(name) if code in by_code])


def codes_of(group: str) -> set[tuple[str, str]]:
    """The (app, codename) of every permission that ``group`` has."""
    return {
        (label.split(".")[0], action if action in _OWN_NAMES else f"{action}_{label.split('.')[1].lower()}")
        for label, rule in RULES.items()
        if apps.is_installed(_app_of(label))
        for action in getattr(rule, group)
    }


def _app_of(label: str) -> str:
    return {"auth": "django.contrib.auth", "account": "allauth.account"}.get(label.split(".")[0], label.split(".")[0])


def _permissions_of(rules: dict[str, Rule]) -> Q:
    return Q(content_type__app_label__in={label.split(".")[0] for label in rules})
