"""Operators' pages for the provider side. No page, form, search or export has a secret."""

from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.operators import operator
from core.admin import LargeTableAdmin, ReadableAmounts, ReadOnlyAdmin, RetriedAdmin, ServiceAdmin
from core.templatetags.farebox import money
from openrouter import services
from openrouter.client import ProviderError
from openrouter.errors import ByokKeyUnreadable
from openrouter.models import (
    Attempt,
    ByokCredential,
    KeyReading,
    ProviderAccount,
    ProviderBalance,
    ReconciliationDifference,
    ReconciliationRun,
    RetiredKey,
    RoutingRule,
)
from openrouter.reconciliation.findings import GATEWAY, OPERATOR, PRICE_BOOK, explain_difference
from openrouter.routing_form import RoutingRuleForm, rule_fields
from openrouter.tasks import soon

_OF_A_RETIRED_KEY = ("label", "reason", "usage", "retired_at", "deleted_at", "last_error")


class _RetiredKeys(ReadableAmounts, admin.TabularInline):
    model = RetiredKey
    fields = readonly_fields = _OF_A_RETIRED_KEY
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class _SecretKeeper(RetriedAdmin):
    """Its pages never read the secret, so they open even when the key that wrote it is lost."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Everything else."""
        return super().get_queryset(request).defer("secret")


@admin.register(ProviderAccount)
class ProviderAccountAdmin(_SecretKeeper):
    """Sub-keys at the provider. Deleting one here deletes it there; the row stays."""

    list_display = ["name", "status", "owed", "usage", "spend_limit", "limit_remaining", "last_synced_at", "last_error"]
    list_filter = ["status", "owed", "organization__mode"]
    search_fields = ["name", "=hash", "=organization__id", "organization__name"]
    list_select_related = ["organization"]
    actions = ["sync_now", "try_now", "rotate", "disable", "enable"]
    inlines = [_RetiredKeys]
    fieldsets = [
        (None, {"fields": ["organization", "name", "label", "hash", "status", "created_at", "deleted_at"]}),
        (
            "At the provider, in USD",
            {
                "fields": [
                    "spend_limit",
                    "limit_remaining",
                    "usage",
                    "usage_daily",
                    "usage_monthly",
                    "byok_usage",
                    "free_requests_limit",
                    "free_requests_used",
                    "last_synced_at",
                ]
            },
        ),
        ("Still to be told", {"fields": ["owed", "attempts", "next_attempt_at", "claimed_until", "last_error"]}),
    ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """One at a time, after Django's question."""
        may = request.user.has_perm("openrouter.delete_provideraccount")
        return may and (obj is None or obj.status != "deleted")

    def get_actions(self, request: HttpRequest) -> Any:
        """Without the deletion in bulk."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What the question names: the row itself; nothing else goes with it."""
        return [str(each) for each in objs], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: ProviderAccount) -> None:
        """Give the sub-key up through the service."""
        services.delete_account(
            organization_id=obj.organization_id, actor=operator(request), at=timezone.now(), even_if_disabled=True
        )

    @admin.action(description="Read balance and usage now", permissions=["retry"])
    def sync_now(self, request: HttpRequest, queryset: QuerySet[ProviderAccount]) -> None:
        """Ask the provider about each."""
        self._each(
            request,
            queryset,
            lambda account: services.sync_account(organization_id=account.organization_id, at=timezone.now()),
        )

    @admin.action(description="Tell the provider what is owed, now", permissions=["retry"])
    def try_now(self, request: HttpRequest, queryset: QuerySet[ProviderAccount]) -> None:
        """Do not wait for the next attempt."""
        self._each(request, queryset, lambda account: soon("provision", str(account.id)))

    @admin.action(description="Rotate the key", permissions=["operate"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ProviderAccount]) -> None:
        """A new key for each; the old ones end a while later."""
        self._decide(request, queryset, services.rotate_key)

    @admin.action(description="Disable", permissions=["operate"])
    def disable(self, request: HttpRequest, queryset: QuerySet[ProviderAccount]) -> None:
        """Suspend each; the gateway refuses its calls at once."""
        self._decide(request, queryset, services.disable_account, reason="by an operator")

    @admin.action(description="Enable", permissions=["operate"])
    def enable(self, request: HttpRequest, queryset: QuerySet[ProviderAccount]) -> None:
        """Let each work again."""
        self._decide(request, queryset, services.enable_account)

    def _decide(
        self, request: HttpRequest, accounts: Iterable[ProviderAccount], decide: Callable[..., Any], **more: Any
    ) -> None:
        def carry_out(account: ProviderAccount) -> None:
            decide(organization_id=account.organization_id, actor=operator(request), at=timezone.now(), **more)
            soon("provision", str(account.id))

        self._each(request, accounts, carry_out)

    def _each(
        self, request: HttpRequest, accounts: Iterable[ProviderAccount], work: Callable[[ProviderAccount], Any]
    ) -> None:
        done = 0
        for account in accounts:
            work(account)
            done += 1
        self.message_user(request, f"{done} accounts done or on their way.", messages.SUCCESS)


@admin.register(ByokCredential)
class ByokCredentialAdmin(_SecretKeeper):
    """Customers' own keys: whose, the last four characters, and whether they work."""

    list_display = ["organization", "last_four", "label", "is_enabled", "verified_at", "last_error"]
    list_filter = ["is_enabled", "organization__mode"]
    search_fields = ["=organization__id", "organization__name", "last_four"]
    list_select_related = ["organization"]
    fields = ["organization", "last_four", "label", "is_enabled", "verified_at", "last_error", "created_at"]
    actions = ["verify", "remove"]

    @admin.action(description="Check with the provider now", permissions=["retry"])
    def verify(self, request: HttpRequest, queryset: QuerySet[ByokCredential]) -> None:
        """Ask about each key."""
        working, unasked = 0, 0
        for credential in queryset.select_related("organization"):
            try:
                working += services.verify_byok(credential=credential, at=timezone.now())
            except (ProviderError, ByokKeyUnreadable):
                unasked += 1
        level = messages.WARNING if unasked or working < len(queryset) else messages.SUCCESS
        self.message_user(request, f"{working} of {len(queryset)} work; {unasked} could not be checked.", level)

    @admin.action(description="Forget the key", permissions=["operate"])
    def remove(self, request: HttpRequest, queryset: QuerySet[ByokCredential]) -> None:
        """The organizations' calls use the managed account again."""
        for credential in queryset:
            services.remove_byok(organization_id=credential.organization_id, actor=operator(request), at=timezone.now())


@admin.register(Attempt)
class AttemptAdmin(LargeTableAdmin):
    """Every request to the provider."""

    list_display = ["started_at", "organization", "model", "number", "status_code", "error_type", "cost", "answered"]
    list_filter = ["answered", "status_code"]
    search_fields = ["=generation_id", "=hold_id", "=organization__id", "model"]
    list_select_related = ["organization"]
    date_hierarchy = "started_at"


class _State(admin.SimpleListFilter):
    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What became of it."""
        return [("open", "Open"), ("explained", "Explained"), ("vanished", "Vanished")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The differences in the chosen state."""
        closed = queryset.filter(resolved_at__isnull=False)
        states = {
            "open": queryset.filter(resolved_at__isnull=True),
            "explained": closed.exclude(resolved_by=""),
            "vanished": closed.filter(resolved_by=""),
        }
        return states.get(self.value() or "", queryset)


class DifferenceForm(forms.ModelForm):
    """What explains a difference, and who answers for it."""

    owner = forms.ChoiceField(choices=[(name, name) for name in (PRICE_BOOK, GATEWAY, OPERATOR)])
    note = forms.CharField(max_length=300, help_text="Why the two sides differ; saving closes the difference.")

    class Meta:
        model = ReconciliationDifference
        fields = ["owner", "note"]


@admin.register(ReconciliationDifference)
class ReconciliationDifferenceAdmin(ServiceAdmin):
    """Where our books and the provider's disagree. Saving an open one closes it with its explanation."""

    form = DifferenceForm
    list_display = ["scope", "subject", "difference", "owner", "found_at", "last_seen_at", "resolved_at", "resolved_by"]
    list_filter = [_State, "scope", "owner"]
    search_fields = ["subject", "=organization__id", "organization__name", "note"]
    list_select_related = ["organization"]
    readonly_fields = [
        "scope",
        "subject",
        "organization",
        "ours",
        "theirs",
        "difference",
        "evidence",
        "found_at",
        "last_seen_at",
        "resolved_at",
        "resolved_by",
    ]
    fields = [*readonly_fields, "owner", "note"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Reconciliation alone finds them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are explained, never removed."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """While it is open."""
        return super().has_change_permission(request, obj) and (obj is None or obj.resolved_at is None)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Explain it through the service."""
        explain_difference(
            difference_id=obj.pk,
            owner=form.cleaned_data["owner"],
            note=form.cleaned_data["note"],
            resolved_by=operator(request).label,
            at=timezone.now(),
        )


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(ReadOnlyAdmin):
    """Comparisons that were made."""

    list_display = ["started_at", "day", "finished_at", "found", "error"]
    date_hierarchy = "started_at"


@admin.register(ProviderBalance)
class ProviderBalanceAdmin(ReadOnlyAdmin):
    """What is left of the credit bought at the provider, as last read."""

    list_display = ["upstream", "left", "bought", "used", "taken_at"]

    @admin.display
    def left(self, balance: ProviderBalance) -> str:
        """Bought less used."""
        return money(balance.left)


@admin.register(KeyReading)
class KeyReadingAdmin(ReadOnlyAdmin):
    """What both sides said of a key at a quiet moment."""

    list_display = ["key_hash", "usage", "booked", "apart", "taken_at"]

    @admin.display(description="Theirs − ours")
    def apart(self, reading: KeyReading) -> str:
        """How far the sides were apart."""
        return money(reading.usage - reading.booked)


@admin.register(RoutingRule)
class RoutingRuleAdmin(ServiceAdmin):
    """What the operator adds to calls that name no fallbacks of their own."""

    form = RoutingRuleForm
    list_display = ["match", "meant_for", "replacement", "max_tokens", "leads_to", "prefers", "priority", "is_enabled"]
    list_filter = ["is_enabled"]
    search_fields = ["match", "note", "tier_slug", "organization__name"]
    list_select_related = ["organization"]
    autocomplete_fields = ["organization"]

    @admin.display(description="For")
    def meant_for(self, rule: RoutingRule) -> str:
        """Whose calls."""
        if rule.organization is not None:
            return rule.organization.name
        return f"tier {rule.tier_slug}" if rule.tier_slug else "everybody"

    @admin.display(description="Falls back to")
    def leads_to(self, rule: RoutingRule) -> str:
        """Its fallbacks in order."""
        return ", ".join(rule.fallbacks) or "–"

    @admin.display(description="Provider preferences")
    def prefers(self, rule: RoutingRule) -> str:
        """Which preferences it sets."""
        return ", ".join(rule.provider) or "–"

    def save_model(self, request: HttpRequest, obj: RoutingRule, form: Any, change: bool) -> None:
        """Through the service."""
        obj.pk = services.save_routing_rule(**rule_fields(form), at=timezone.now()).pk

    def delete_model(self, request: HttpRequest, obj: RoutingRule) -> None:
        """Through the service."""
        services.delete_routing_rule(rule_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[RoutingRule]) -> None:
        """Each through the service."""
        for rule in queryset:
            services.delete_routing_rule(rule_id=rule.pk)
