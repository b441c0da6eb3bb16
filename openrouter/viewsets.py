"""REST API of the provider side: parse, call a service, answer."""

from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import idempotent
from accounts.requests import ApiRequest
from accounts.scopes import MANAGE, Scope
from core.refusals import refuses
from openrouter import serializers as shapes
from openrouter import services
from openrouter.errors import (
    AccountBusy,
    AccountDisabled,
    AccountNotActive,
    ByokKeyRefused,
    ByokNotAllowed,
    NoByokKey,
    NoProviderAccount,
    ProviderNotAvailable,
)
from openrouter.models import AccountStatus, ByokCredential, Owed, ProviderAccount
from openrouter.upstreams import manageable_modes


def _account_of(organization_id: UUID) -> ProviderAccount:
    """The organization's account. Raises NoProviderAccount."""
    accounts = ProviderAccount.objects.select_related("organization__byok_credential")
    accounts = accounts.defer("secret", "organization__byok_credential__secret")
    account = accounts.exclude(status=AccountStatus.DELETED).filter(organization_id=organization_id).first()
    if account is None:
        raise NoProviderAccount()
    return account


class CreateAccountView(APIView):
    """Ask for the OpenRouter account."""

    scope = MANAGE

    @extend_schema(
        operation_id="openrouter_create_account",
        request=None,
        responses={
            200: shapes.AccountSerializer,
            201: shapes.AccountSerializer,
            202: shapes.AccountSerializer,
        },
    )
    @refuses(AccountDisabled)
    @idempotent(atomic=False)
    def post(self, request: ApiRequest) -> Response:
        """Make the organization's OpenRouter sub-key, or answer with the one it has.

        Organizations get theirs when they are made; this is for one that was deleted or whose making has failed.
        201: it was made now. 200: it was there. 202: OpenRouter did not make it yet; it is tried again in the
        background.
        """
        principal, at = request.auth, timezone.now()
        account = services.request_account(organization_id=principal.organization_id, actor=principal.as_actor, at=at)
        if account.status == AccountStatus.DISABLED:
            raise AccountDisabled()
        made = False
        if account.owed != Owed.NOTHING and principal.mode in manageable_modes():
            made = services.advance_account(account_id=account.id, at=timezone.now())
        account = _account_of(principal.organization_id)
        status = 201 if made else 200 if account.status == AccountStatus.ACTIVE else 202
        return Response(shapes.AccountSerializer(account).data, status=status)


class AccountView(APIView):
    """The OpenRouter account."""

    scopes = {"get": Scope.CREDITS_READ, "delete": MANAGE}

    @extend_schema(operation_id="openrouter_account", responses=shapes.AccountSerializer)
    @refuses(NoProviderAccount)
    def get(self, request: ApiRequest) -> Response:
        """The sub-key as of the last sync."""
        return Response(shapes.AccountSerializer(_account_of(request.auth.organization_id)).data)

    @extend_schema(operation_id="openrouter_delete_account", responses={204: None})
    @refuses(NoProviderAccount, AccountDisabled)
    def delete(self, request: ApiRequest) -> Response:
        """Delete the sub-key: calls through the gateway are refused from now on, and OpenRouter forgets the key.

        Calls that are running end first. Credits stay.
        """
        principal = request.auth
        account = services.delete_account(
            organization_id=principal.organization_id, actor=principal.as_actor, at=timezone.now()
        )
        services.delete_retired_keys(at=timezone.now(), account_id=account.id)
        return Response(status=204)


class SyncBalanceView(APIView):
    """Read OpenRouter's figures now."""

    scope = MANAGE

    @extend_schema(operation_id="openrouter_sync_balance", request=None, responses=shapes.AccountSerializer)
    @refuses(NoProviderAccount, AccountNotActive, AccountBusy, ProviderNotAvailable)
    def post(self, request: ApiRequest) -> Response:
        """Read limit, usage and the free calls left today from OpenRouter. They are also read regularly."""
        organization_id = request.auth.organization_id
        services.sync_account(organization_id=organization_id, at=timezone.now())
        return Response(shapes.AccountSerializer(_account_of(organization_id)).data)


class ByokView(APIView):
    """The organization's own OpenRouter key."""

    scopes = {"get": Scope.CREDITS_READ, "put": MANAGE, "delete": MANAGE}

    @extend_schema(operation_id="openrouter_byok", responses=shapes.ByokSerializer)
    @refuses(NoByokKey)
    def get(self, request: ApiRequest) -> Response:
        """Which key is stored; never the key itself."""
        credential = ByokCredential.objects.filter(organization_id=request.auth.organization_id).first()
        if credential is None:
            raise NoByokKey()
        return Response(shapes.ByokSerializer(credential).data)

    @extend_schema(
        operation_id="openrouter_store_byok", request=shapes.StoreByokSerializer, responses=shapes.ByokSerializer
    )
    @refuses(ByokNotAllowed, ByokKeyRefused, ProviderNotAvailable)
    def put(self, request: ApiRequest) -> Response:
        """Check a key with OpenRouter and use it for the organization's calls from now on.

        Such calls are metered, count towards budgets and cost no credits: OpenRouter bills you.
        """
        body = shapes.StoreByokSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        principal = request.auth
        credential = services.store_byok(
            organization_id=principal.organization_id,
            secret=body.validated_data["key"],
            actor=principal.as_actor,
            at=timezone.now(),
        )
        return Response(shapes.ByokSerializer(credential).data)

    @extend_schema(operation_id="openrouter_remove_byok", responses={204: None})
    @refuses(NoByokKey)
    def delete(self, request: ApiRequest) -> Response:
        """Forget the key; calls use the managed account and credits again."""
        principal = request.auth
        services.remove_byok(organization_id=principal.organization_id, actor=principal.as_actor, at=timezone.now())
        return Response(status=204)
