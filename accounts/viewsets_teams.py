"""REST API of teams: parse, call one service, answer."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, viewsets
from rest_framework.response import Response

from accounts import serializers as shapes
from accounts import services
from accounts.entitlements import TEAMS, NotInTier, require
from accounts.errors import LiveOnly, TeamExists, TeamHasTeams
from accounts.models import Mode, Team
from accounts.requests import ApiRequest
from accounts.scopes import MANAGE, Scope
from core.refusals import refuses


@extend_schema_view(
    list=extend_schema(summary="Teams, newest first"),
    retrieve=extend_schema(summary="One team"),
)
class TeamViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Teams and departments. Members are put in with ``PATCH members/{id}``, keys with ``team_id`` of a key."""

    request: ApiRequest
    scopes = {
        "list": Scope.USAGE_READ,
        "retrieve": Scope.USAGE_READ,
        "create": MANAGE,
        "partial_update": MANAGE,
        "destroy": MANAGE,
    }
    serializer_class = shapes.TeamSerializer
    queryset = Team.objects.none()

    def get_queryset(self) -> QuerySet[Team]:
        """The organization's own that are not put away; a test key sees none, they belong to the live organization."""
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        own = Team.objects.active().filter(organization_id=self.request.auth.organization_id)
        return own.counted()

    @extend_schema(request=shapes.TeamRequestSerializer, responses={201: shapes.TeamSerializer})
    @refuses(LiveOnly, NotInTier, TeamExists, TeamHasTeams)
    def create(self, request: ApiRequest) -> Response:
        """Make a team; with ``department_id`` inside a department."""
        body = shapes.TeamRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        self._guard(request)
        team = services.create_team(**body.validated_data, **self._change(request))
        return Response(self._answer(team.id), status=201)

    @extend_schema(request=shapes.TeamRequestSerializer(partial=True), responses=shapes.TeamSerializer)
    @refuses(LiveOnly, NotInTier, TeamExists, TeamHasTeams)
    def partial_update(self, request: ApiRequest, pk: UUID) -> Response:
        """Rename it or move it to another department; what is not named stays."""
        team = self.get_object()
        body = shapes.TeamRequestSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        self._guard(request)
        wanted = {"name": team.name, "department_id": team.department_id, **body.validated_data}
        services.update_team(team_id=team.id, **wanted, **self._change(request))
        return Response(self._answer(team.id))

    @extend_schema(responses={204: None})
    @refuses(TeamHasTeams)
    def destroy(self, request: ApiRequest, pk: UUID) -> Response:
        """Put it away: nobody is in it any more, and its past usage stays."""
        services.archive_team(team_id=self.get_object().id, **self._change(request))
        return Response(status=204)

    def _guard(self, request: ApiRequest) -> None:
        if request.auth.mode != Mode.LIVE:
            raise LiveOnly()
        require(request.auth.organization_id, TEAMS)

    def _change(self, request: ApiRequest) -> dict[str, Any]:
        caller = request.auth
        return {"organization_id": caller.organization_id, "actor": caller.as_actor, "at": timezone.now()}

    def _answer(self, team_id: UUID) -> Any:
        return self.get_serializer(self.get_queryset().get(id=team_id)).data
