"""Operators' pages of teams."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import services
from accounts.models import Team
from accounts.operators import operator
from core.admin import ServiceAdmin


@admin.register(Team)
class TeamAdmin(ServiceAdmin):
    """Teams and departments of organizations. Who is in one is said at the member and the key."""

    fields = ["organization", "name", "department", "slug", "created_at", "archived_at"]
    list_display = ["name", "organization", "department", "members_now", "keys_now", "archived_at"]
    list_filter = ["archived_at"]
    list_select_related = ["organization", "department"]
    search_fields = ["name", "organization__name", "=organization__id", "=id"]
    autocomplete_fields = ["organization", "department"]
    actions = ["put_away"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        """With the numbers of members and keys."""
        return Team.objects.counted()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """A team stays with its organization."""
        return [*(["organization"] if obj else []), "slug", "created_at", "archived_at"]

    @admin.display(description="members", ordering="member_count")
    def members_now(self, obj: Any) -> int:
        """How many are in it."""
        return int(obj.member_count)

    @admin.display(description="keys", ordering="key_count")
    def keys_now(self, obj: Any) -> int:
        """How many working keys are in it."""
        return int(obj.key_count)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What is put away is only to be looked at."""
        return super().has_change_permission(request, obj) and (obj is None or obj.archived_at is None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Teams are put away, for their past usage has their name."""
        return False

    def save_model(self, request: HttpRequest, obj: Team, form: Any, change: bool) -> None:
        """Make a team, rename it or move it."""
        made: dict[str, Any] = {
            "organization_id": obj.organization_id,
            "name": obj.name,
            "department_id": obj.department_id,
            "actor": operator(request),
            "at": timezone.now(),
        }
        if change:
            services.update_team(team_id=obj.pk, **made)
            return
        obj.pk, obj._state.adding = services.create_team(**made).pk, False

    @admin.action(description="Put away: nobody is in it any more", permissions=["change"])
    def put_away(self, request: HttpRequest, queryset: QuerySet[Team]) -> None:
        """The selected teams."""
        open_teams = [team for team in queryset if team.archived_at is None]
        for team in open_teams:
            services.archive_team(
                team_id=team.pk, organization_id=team.organization_id, actor=operator(request), at=timezone.now()
            )
        self.message_user(request, f"{len(open_teams)} put away.", messages.SUCCESS)
