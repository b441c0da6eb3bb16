"""REST API of organizations, members and keys: parse, call one service, answer."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, viewsets
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import serializers as shapes
from accounts import services
from accounts.entitlements import API_ACCESS, TEAMS, NotInTier, require
from accounts.errors import (
    AlreadyInvited,
    AlreadyMember,
    KeyNotActive,
    LastOwner,
    LiveOnly,
    OwnersOnly,
    TooManyInvitations,
)
from accounts.models import ApiKey, Invitation, Membership, Mode, Organization, Team
from accounts.principal import Principal
from accounts.requests import ApiRequest
from accounts.scopes import ANY, MANAGE, Scope
from accounts.services import KeyTerms
from accounts.services.invitations import Inviter
from core.errors import NotFound
from core.refusals import refuses


class OrganizationView(APIView):
    """The organization that the caller acts for."""

    scopes = {"get": ANY, "patch": MANAGE}

    @extend_schema(operation_id="organization", responses=shapes.OrganizationSerializer)
    def get(self, request: ApiRequest) -> Response:
        """Name, mode and time zone."""
        organization = Organization.objects.get(id=request.auth.organization_id)
        return Response(shapes.OrganizationSerializer(organization).data)

    @extend_schema(
        operation_id="organization_update",
        request=shapes.OrganizationChangeSerializer,
        responses=shapes.OrganizationSerializer,
    )
    @refuses(LiveOnly)
    def patch(self, request: ApiRequest) -> Response:
        """Rename it, or move its day boundaries."""
        _live_only(request.auth)
        body = shapes.OrganizationChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        before = Organization.objects.get(id=request.auth.organization_id)
        organization = services.update_organization(
            organization_id=before.id,
            name=body.validated_data.get("name", before.name),
            time_zone=body.validated_data.get("time_zone", before.time_zone),
            actor=request.auth.as_actor,
            at=timezone.now(),
        )
        return Response(shapes.OrganizationSerializer(organization).data)


class MemberViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """The people of the organization."""

    request: ApiRequest
    scope = MANAGE
    serializer_class = shapes.MemberSerializer
    queryset = Membership.objects.none()

    def get_queryset(self) -> QuerySet[Membership]:
        """The caller's colleagues; a test key sees nobody, people belong to the live organization."""
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return Membership.objects.filter(organization_id=self.request.auth.organization_id).select_related("user")

    @extend_schema(request=shapes.MemberChangeSerializer, responses=shapes.MemberSerializer)
    @refuses(LiveOnly, OwnersOnly, LastOwner, NotInTier)
    def partial_update(self, request: ApiRequest, pk: UUID) -> Response:
        """Give a member another role, or put them into a team."""
        _live_only(request.auth)
        body = shapes.MemberChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(self.get_serializer(self._changed(request, pk, body.validated_data)).data)

    @transaction.atomic
    def _changed(self, request: ApiRequest, pk: UUID, wanted: dict[str, Any]) -> Membership | None:
        change, membership = self._change(request), None
        if "role" in wanted:
            membership = services.change_role(membership_id=pk, role=wanted["role"], **change)
        if "team_id" in wanted:
            if wanted["team_id"] is not None:
                require(request.auth.organization_id, TEAMS)
            del change["by"]
            membership = services.place_member(membership_id=pk, team_id=wanted["team_id"], **change)
        return membership

    @extend_schema(responses={204: None})
    @refuses(LiveOnly, OwnersOnly, LastOwner)
    def destroy(self, request: ApiRequest, pk: UUID) -> Response:
        """Take a member out; the keys bound to them are revoked."""
        _live_only(request.auth)
        services.remove_member(membership_id=pk, **self._change(request))
        return Response(status=204)

    def _change(self, request: ApiRequest) -> dict[str, Any]:
        caller: Principal = request.auth
        by = self.get_queryset().filter(user_id=caller.user_id).first() if caller.user_id is not None else None
        return {
            "organization_id": caller.organization_id,
            "actor": caller.as_actor,
            "at": timezone.now(),
            "by": by,
        }


class InvitationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """People who are invited and have not accepted yet; expired ones for 30 days more, since they can be sent again."""

    request: ApiRequest
    scope = MANAGE
    serializer_class = shapes.InvitationSerializer
    queryset = Invitation.objects.none()

    def get_queryset(self) -> QuerySet[Invitation]:
        """The organization's own; a test key sees none, people belong to the live organization."""
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        own = Invitation.objects.filter(organization_id=self.request.auth.organization_id)
        return own.in_sight(timezone.now())

    @extend_schema(request=shapes.InvitationRequestSerializer, responses={201: shapes.InvitationSerializer})
    @refuses(LiveOnly, OwnersOnly, AlreadyMember, AlreadyInvited, TooManyInvitations)
    def create(self, request: ApiRequest) -> Response:
        """Write to somebody that they may join, within 7 days, with the address that the e-mail goes to."""
        _live_only(request.auth)
        body = shapes.InvitationRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        invitation = services.invite(
            organization_id=request.auth.organization_id,
            by=_inviter(request.auth),
            at=timezone.now(),
            **body.validated_data,
        )
        return self._answer(invitation.id, status=201)

    @extend_schema(responses={204: None})
    @refuses(LiveOnly, OwnersOnly)
    def destroy(self, request: ApiRequest, pk: UUID) -> Response:
        """Take an invitation back: its link stops working."""
        _live_only(request.auth)
        services.revoke_invitation(invitation_id=pk, **self._change(request))
        return Response(status=204)

    @extend_schema(request=None, responses=shapes.InvitationSerializer)
    @refuses(LiveOnly, OwnersOnly, TooManyInvitations)
    def resend(self, request: ApiRequest, pk: UUID) -> Response:
        """Write once more, with a new link; the one before stops working."""
        _live_only(request.auth)
        services.resend_invitation(invitation_id=pk, **self._change(request))
        return self._answer(pk)

    def _answer(self, pk: UUID, status: int = 200) -> Response:
        return Response(self.get_serializer(self.get_queryset().get(id=pk)).data, status=status)

    def _change(self, request: ApiRequest) -> dict[str, Any]:
        caller = request.auth
        return {"organization_id": caller.organization_id, "by": _inviter(caller), "at": timezone.now()}


@extend_schema_view(
    list=extend_schema(summary="API keys, newest first"),
    retrieve=extend_schema(summary="One API key"),
)
class ApiKeyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """API keys. A live caller also sees and manages the keys of its test twin; a test key sees test keys only."""

    request: ApiRequest
    scope = MANAGE
    serializer_class = shapes.ApiKeySerializer
    queryset = ApiKey.objects.none()

    def get_queryset(self) -> QuerySet[ApiKey]:
        """The keys within the caller's reach."""
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        keys = ApiKey.objects.filter(organization__in=_within_reach(self.request.auth))
        return keys.select_related("organization", "member", "team")

    @extend_schema(request=shapes.ApiKeyRequestSerializer, responses={201: shapes.NewApiKeySerializer})
    @refuses(LiveOnly, NotInTier)
    def create(self, request: ApiRequest) -> Response:
        """Make a key. Its secret is in this answer and nowhere else, so the answer is not kept for replays either."""
        body = shapes.ApiKeyRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        organization = _organization_in_mode(request.auth, wanted.pop("mode", request.auth.mode))
        if not request.auth.has_scope(Scope.ADMIN):  # what an operator hands out is the operator's to decide
            require(request.auth.organization_id, API_ACCESS)
        key, secret = services.create_api_key(
            organization=organization,
            name=wanted.pop("name"),
            terms=KeyTerms(**_as_terms(wanted, organization)),
            actor=request.auth.as_actor,
            at=timezone.now(),
        )
        return _with_secret(key, secret)

    @extend_schema(request=shapes.KeyTermsSerializer(partial=True), responses=shapes.ApiKeySerializer)
    @refuses(KeyNotActive, NotInTier)
    def partial_update(self, request: ApiRequest, pk: UUID) -> Response:
        """Change a key's name or terms; what is not named stays."""
        key = self.get_object()
        body = shapes.KeyTermsSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        key = services.update_api_key(
            key_id=key.id,
            organization_id=key.organization_id,
            name=wanted.pop("name", key.name),
            terms=replace(services.terms_of(key), **_as_terms(wanted, key.organization)),
            actor=request.auth.as_actor,
            at=timezone.now(),
        )
        return Response(self.get_serializer(key).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: ApiRequest, pk: UUID) -> Response:
        """Revoke a key: it is refused everywhere within a second."""
        key = self.get_object()
        services.revoke_api_key(
            key_id=key.id, organization_id=key.organization_id, actor=request.auth.as_actor, at=timezone.now()
        )
        return Response(status=204)

    @extend_schema(request=shapes.RotationSerializer, responses={201: shapes.NewApiKeySerializer})
    @refuses(KeyNotActive)
    def rotate(self, request: ApiRequest, pk: UUID) -> Response:
        """Replace a key by one with the same terms; the old one works until the overlap ends."""
        old = self.get_object()
        body = shapes.RotationSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        key, secret = services.rotate_api_key(
            key_id=old.id,
            organization_id=old.organization_id,
            overlap=timedelta(seconds=body.validated_data["overlap_seconds"]),
            actor=request.auth.as_actor,
            at=timezone.now(),
        )
        return _with_secret(key, secret)


def _with_secret(key: ApiKey, secret: str) -> Response:
    document = {**shapes.ApiKeySerializer(key).data, "secret": secret}
    return Response(document, status=201, headers={"Cache-Control": "no-store"})


def _within_reach(caller: Principal) -> QuerySet[Organization]:
    """A live caller's organization and its twin; a test caller's twin alone."""
    own = Q(id=caller.organization_id)
    return Organization.objects.filter(own if caller.is_test else own | Q(live_organization_id=caller.organization_id))


def _organization_in_mode(caller: Principal, mode: str) -> Organization:
    organization = _within_reach(caller).filter(mode=mode).first()
    if organization is None:
        raise LiveOnly("A test key makes only test keys.")
    return organization


def _as_terms(wanted: dict[str, Any], organization: Organization) -> dict[str, Any]:
    """The body's fields as those of KeyTerms. Raises NotFound for a stranger as the member."""
    terms: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in wanted.items()}
    if "member_id" in terms:
        terms["member"] = _member(terms.pop("member_id"), organization)
    if "team_id" in terms:
        terms["team"] = _team(terms.pop("team_id"), organization)
    return terms


def _team(team_id: UUID | None, organization: Organization) -> Team | None:
    if team_id is None:
        return None
    live_id = organization.live_organization_id or organization.id
    require(live_id, TEAMS)
    found = Team.objects.active().filter(id=team_id, organization_id=live_id).first()
    if found is None:
        raise NotFound("There is no such team.")
    return found


def _member(member_id: UUID | None, organization: Organization) -> Membership | None:
    if member_id is None:
        return None
    live_id = organization.live_organization_id or organization.id
    found = Membership.objects.filter(id=member_id, organization_id=live_id).first()
    if found is None:
        raise NotFound("There is no such member.")
    return found


def _inviter(caller: Principal) -> Inviter:
    membership = None
    if caller.user_id is not None:
        people = Membership.objects.select_related("user")
        membership = people.filter(organization_id=caller.organization_id, user_id=caller.user_id).first()
    line_id = caller.key_line_id if caller.user_id is None else None
    return Inviter(caller.as_actor, membership.user if membership else None, membership, line_id)


def _live_only(caller: Principal) -> None:
    if caller.mode != Mode.LIVE:
        raise LiveOnly()
