"""Operators' pages for people, organizations and keys."""

from datetime import timedelta
from typing import Any

from allauth.account.admin import EmailAddressAdmin as BaseEmailAddressAdmin
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from axes.admin import AccessAttemptAdmin
from axes.models import AccessAttempt
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelect
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.postgres.forms import SimpleArrayField
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils import timezone

from accounts import (
    admin_teams,  # noqa: F401  (registers it)
    services,
)
from accounts.admin_impersonation import impersonate
from accounts.models import ApiKey, Membership, Organization, User
from accounts.operators import operator
from accounts.scopes import WIRE_SCOPES, Scope
from accounts.second_factor import remove_second_factors
from accounts.services import KeyTerms
from core.admin import ServiceAdmin

# Secrets of people, and what the environment configures: nothing for operators to look at or to change by hand.
for _model in (Authenticator, SocialAccount, SocialApp, SocialToken, UserSession):
    admin.site.unregister(_model)


class _NewUserForm(AdminUserCreationForm):
    class Meta:
        model = User
        fields = ["email"]


class _UserForm(UserChangeForm):
    class Meta:
        model = User
        fields = "__all__"


_POWERS = ["is_staff", "is_superuser", "groups", "user_permissions"]


@admin.register(User)
class UserAdmin(BaseUserAdmin):
    """People."""

    form, add_form = _UserForm, _NewUserForm
    ordering = ["email"]
    list_display = ["email", "name", "is_active", "is_staff", "date_joined", "last_login"]
    list_filter = ["is_active", "is_staff", "is_superuser"]
    search_fields = ["email", "name"]
    fieldsets = [
        (None, {"fields": ["email", "name", "time_zone", "password"]}),
        ("Operator", {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]}),
        ("Dates", {"fields": ["date_joined", "last_login"]}),
    ]
    add_fieldsets = [(None, {"classes": ["wide"], "fields": ["email", "usable_password", "password1", "password2"]})]
    readonly_fields = ["date_joined", "last_login"]
    actions = ["remove_second_factors"]

    def get_actions(self, request: HttpRequest) -> Any:
        """Only who may do everything lets people in with less."""
        return super().get_actions(request) if request.user.is_superuser else {}

    @admin.action(description="Remove second factors (lost device, no recovery codes)")
    def remove_second_factors(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """The people sign in with their password alone until they set up another."""
        for person in queryset:
            removed = remove_second_factors(
                user=person, reason="back office", actor=operator(request), at=timezone.now()
            )
            messages.info(request, f"{person.email}: {removed} removed.")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Only who may do everything decides what others may do."""
        fixed = [*super().get_readonly_fields(request, obj)]
        return fixed if request.user.is_superuser else [*fixed, *_POWERS]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Another operator's password is no way to their powers."""
        is_above = obj is not None and obj.is_staff and obj != request.user and not request.user.is_superuser
        return super().has_change_permission(request, obj) and not is_above

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """People are made inactive: what they did keeps their name, and no organization loses its last owner."""
        return False


class OrganizationForm(forms.ModelForm):
    """An organization; both of its books are named and stopped together."""

    owner = forms.ModelChoiceField(
        User.objects.all(),
        required=False,
        help_text="The first member.",
        widget=AutocompleteSelect(Membership._meta.get_field("user"), admin.site),  # asks for a few of them at a time
    )
    reason = forms.CharField(required=False, max_length=300, help_text="Why it is stopped or let go on.")

    class Meta:
        model = Organization
        fields = ["name", "time_zone", "is_suspended"]


@admin.register(Organization)
class OrganizationAdmin(ServiceAdmin):
    """Organizations and their test twins."""

    form = OrganizationForm
    list_display = ["name", "mode", "standing", "created_at"]
    list_filter = ["mode", "is_suspended"]
    search_fields = ["=id", "name", "memberships__user__email"]
    date_hierarchy = "created_at"

    def get_urls(self) -> list[URLPattern]:
        """The page that does something comes before the catch-all of the change page."""
        view = self.admin_site.admin_view(impersonate)
        looking = path("<uuid:organization_id>/impersonate/", view, name="accounts_organization_impersonate")
        return [looking, *super().get_urls()]

    @admin.display(description="Standing", ordering="is_suspended")
    def standing(self, obj: Organization) -> str:
        """A red cross would say that it is bad not to be suspended."""
        return "suspended" if obj.is_suspended else "–"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """An owner to begin with; later a reason for stopping it."""
        return ["name", "time_zone", "is_suspended", "reason"] if obj else ["name", "owner"]

    def save_model(self, request: HttpRequest, obj: Organization, form: Any, change: bool) -> None:
        """Create, rename, stop or let go on."""
        actor, now, values = operator(request), timezone.now(), form.cleaned_data
        if not change:
            made = services.create_organization(name=obj.name, owner=values["owner"], actor=actor, at=now)
            obj.pk, obj._state.adding = made.pk, False
            return
        if {"name", "time_zone"} & set(form.changed_data):
            services.update_organization(
                organization_id=obj.pk, name=obj.name, time_zone=obj.time_zone, actor=actor, at=now
            )
        if "is_suspended" in form.changed_data:
            services.set_suspended(
                organization_id=obj.pk, suspended=obj.is_suspended, reason=values["reason"], actor=actor, at=now
            )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Books are kept."""
        return False


@admin.register(Membership)
class MembershipAdmin(ServiceAdmin):
    """Who belongs where."""

    list_display = ["user", "organization", "role", "created_at"]
    list_filter = ["role"]
    list_select_related = ["user", "organization"]
    search_fields = ["user__email", "organization__name", "=organization__id"]
    autocomplete_fields = ["user", "organization", "team"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Only the role and the team of a member change."""
        return ["organization", "user"] if obj else []

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        """Add a member, change a role, or the team."""
        who: dict[str, Any] = {"organization_id": obj.organization_id, "actor": operator(request), "at": timezone.now()}
        if not change:
            obj.pk = services.add_member(user=obj.user, role=obj.role, **who).pk
            obj._state.adding = False
        elif "role" in form.changed_data:
            services.change_role(membership_id=obj.pk, role=obj.role, **who)
        if "team" in form.changed_data:
            services.place_member(membership_id=obj.pk, team_id=obj.team_id, **who)

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        """Take a member out; their keys are revoked."""
        services.remove_member(
            membership_id=obj.pk, organization_id=obj.organization_id, actor=operator(request), at=timezone.now()
        )

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        """The same for several."""
        for membership in queryset:
            self.delete_model(request, membership)


def _words(limit: int) -> SimpleArrayField:
    return SimpleArrayField(forms.CharField(max_length=limit), required=False, help_text="Separated by commas.")


class ApiKeyForm(forms.ModelForm):
    """A key's name and terms."""

    scopes = forms.MultipleChoiceField(
        choices=[*Scope.choices, ("Below /v1/ alone", [(scope, scope) for scope in sorted(WIRE_SCOPES)])],
        widget=forms.CheckboxSelectMultiple,
    )
    allowed_models = _words(120)
    allowed_networks = _words(49)

    class Meta:
        model = ApiKey
        fields = ["organization", "name", *(name for name in KeyTerms.__dataclass_fields__)]


@admin.register(ApiKey)
class ApiKeyAdmin(ServiceAdmin):
    """API keys. A secret is on the page once, in the answer that made it, and nowhere else."""

    form = ApiKeyForm
    list_display = ["name", "prefix", "last_four", "organization", "expires_at", "revoked_at", "last_used_at"]
    list_filter = ["organization__mode", "revoked_at", "expires_at"]
    list_select_related = ["organization"]
    search_fields = ["name", "prefix", "organization__name", "=organization__id", "=id"]
    autocomplete_fields = ["organization", "member", "team"]
    actions = ["revoke", "rotate"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """A key stays with its organization."""
        return ["organization", "prefix", "last_four", "revoked_at", "last_used_at", "created_at"] if obj else []

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An ended key is only to be looked at."""
        return super().has_change_permission(request, obj) and (obj is None or obj.is_active(timezone.now()))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Keys are revoked, and stay listed."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Make a key or change its terms."""
        terms = _terms(form.cleaned_data)
        made: dict[str, Any] = {"name": obj.name, "terms": terms, "actor": operator(request), "at": timezone.now()}
        if change:
            services.update_api_key(key_id=obj.pk, organization_id=obj.organization_id, **made)
            return
        key, obj.secret = services.create_api_key(organization=obj.organization, **made)  # type: ignore[attr-defined]
        obj.pk, obj._state.adding = key.pk, False

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """The secret, once; it is stored in no message, session or log."""
        return self._show(request, obj, obj.secret)  # type: ignore[attr-defined]

    @admin.action(description="Revoke: refused within a second", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """End the selected keys."""
        for key in queryset:
            services.revoke_api_key(
                key_id=key.pk, organization_id=key.organization_id, actor=operator(request), at=timezone.now()
            )
        self.message_user(request, f"{len(queryset)} revoked.", messages.SUCCESS)

    @admin.action(description="Rotate one: the old key works one more day", permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        """Replace the selected key and show the new secret."""
        if len(queryset) != 1:
            self.message_user(request, "Select exactly one key: its new secret is shown once.", messages.ERROR)
            return None
        key, secret = services.rotate_api_key(
            key_id=queryset[0].pk,
            organization_id=queryset[0].organization_id,
            overlap=timedelta(days=1),
            actor=operator(request),
            at=timezone.now(),
        )
        return self._show(request, key, secret)

    def _show(self, request: HttpRequest, key: ApiKey, secret: str) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "title": "Copy the secret now", "key": key}
        page = render(request, "admin/accounts/apikey/secret.html", {**context, "secret": secret})
        page["Cache-Control"] = "no-store"
        return page


def _terms(values: dict[str, Any]) -> KeyTerms:
    terms: dict[str, Any] = {name: values.get(name) for name in KeyTerms.__dataclass_fields__}
    for name, value in terms.items():
        terms[name] = tuple(value) if isinstance(value, list) else value
    return KeyTerms(**terms)


admin.site.unregister(EmailAddress)


@admin.register(EmailAddress)
class EmailAddressAdmin(BaseEmailAddressAdmin):
    """Addresses of people. The library offers its action to whoever may look."""

    @admin.action(description="Mark selected email addresses as verified", permissions=["change"])
    def make_verified(self, request: HttpRequest, queryset: QuerySet[EmailAddress]) -> None:
        """For those who may change them."""
        super().make_verified(request, queryset)


admin.site.unregister(AccessAttempt)


@admin.register(AccessAttempt)
class FailedSignInAdmin(AccessAttemptAdmin):
    """Failed sign-ins; deleting one's rows lets them try again at once."""

    actions = None  # the library's own clean-up works during a sign-in only
