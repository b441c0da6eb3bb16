"""Named reads of accounts."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from django.apps import apps
from django.db import models
from django.db.models import Count, Exists, OuterRef, Q, Subquery
from django.db.models.functions import Now

if TYPE_CHECKING:
    from accounts.models import User

STAYS_IN_SIGHT = timedelta(days=30)  # an invitation that nobody has accepted in time


class OrganizationQuerySet(models.QuerySet):
    """Reads of organizations."""

    def live(self) -> Self:
        """Those with real books."""
        return self.filter(mode="live")

    def of_user(self, user: "User") -> Self:
        """Live organizations that ``user`` belongs to, oldest first."""
        return self.live().filter(memberships__user=user).order_by("created_at")


class ApiKeyQuerySet(models.QuerySet):
    """Reads of API keys."""

    def usable(self, at: datetime) -> Self:
        """Keys that are neither revoked nor expired at ``at``, of organizations that are not suspended."""
        return self.filter(
            Q(revoked_at__isnull=True) | Q(revoked_at__gt=at),
            Q(expires_at__isnull=True) | Q(expires_at__gt=at),
            organization__is_suspended=False,
        )


class InvitationQuerySet(models.QuerySet):
    """Reads of invitations."""

    def with_inviter(self) -> Self:
        """With ``inviter_role``: what whoever invited is in the organization now, None for one who is gone; and
        ``inviter_key_works``: whether the API key that invited, or one that it was rotated to, has neither been
        revoked nor expired."""
        members = apps.get_model("accounts", "Membership").objects.filter(
            organization=OuterRef("organization"), user=OuterRef("invited_by"), user__is_active=True
        )
        keys = apps.get_model("accounts", "ApiKey").objects.filter(
            Q(revoked_at__isnull=True) | Q(revoked_at__gt=Now()),
            Q(expires_at__isnull=True) | Q(expires_at__gt=Now()),
            spend_limit_id=OuterRef("invited_by_line_id"),
        )
        return self.select_related("invited_by").annotate(
            inviter_role=Subquery(members.values("role")[:1]), inviter_key_works=Exists(keys)
        )

    def pending(self) -> Self:
        """Those neither accepted nor taken back, also expired ones: they can be sent again."""
        return self.filter(accepted_at__isnull=True, revoked_at__isnull=True)

    def in_sight(self, at: datetime) -> Self:
        """Pending ones as lists show them: until STAYS_IN_SIGHT after their end."""
        return self.pending().filter(expires_at__gt=at - STAYS_IN_SIGHT).with_inviter()


class TeamQuerySet(models.QuerySet):
    """Reads of teams."""

    def active(self) -> Self:
        """Those that are not put away."""
        return self.filter(archived_at__isnull=True)

    def counted(self) -> Self:
        """With how many members and working keys each has: ``member_count``, ``key_count``."""
        keys = Q(api_keys__revoked_at__isnull=True) & Q(api_keys__id__isnull=False)
        return self.annotate(
            member_count=Count("memberships", distinct=True),
            key_count=Count("api_keys", filter=keys, distinct=True),
        )
