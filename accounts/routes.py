"""Paths of the accounts API, below ``/api/v1/``."""

from typing import Any

from django.urls import path

from accounts import viewsets as v
from accounts.viewsets_teams import TeamViewSet

_ONE: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
_READ_OR_END: dict[str, Any] = {"get": "retrieve", "delete": "destroy"}

urlpatterns = [
    path("organization", v.OrganizationView.as_view(), name="organization"),
    path("members", v.MemberViewSet.as_view({"get": "list"}), name="members"),
    path("members/<uuid:pk>", v.MemberViewSet.as_view(_ONE), name="member"),
    path("invitations", v.InvitationViewSet.as_view({"get": "list", "post": "create"}), name="invitations"),
    path("invitations/<uuid:pk>", v.InvitationViewSet.as_view(_READ_OR_END), name="invitation-api"),
    path("invitations/<uuid:pk>/resend", v.InvitationViewSet.as_view({"post": "resend"}), name="invitation-resend"),
    path("teams", TeamViewSet.as_view({"get": "list", "post": "create"}), name="teams"),
    path("teams/<uuid:pk>", TeamViewSet.as_view(_ONE), name="team-api"),
    path("api-keys", v.ApiKeyViewSet.as_view({"get": "list", "post": "create"}), name="api-keys"),
    path("api-keys/<uuid:pk>", v.ApiKeyViewSet.as_view(_ONE), name="api-key"),
    path("api-keys/<uuid:pk>/rotate", v.ApiKeyViewSet.as_view({"post": "rotate"}), name="api-key-rotate"),
]
