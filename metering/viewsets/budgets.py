"""REST API of budgets: define them, and ask how they stand."""

from typing import Any, cast

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.entitlements import NotInTier
from accounts.idempotency import idempotent
from accounts.principal import Principal
from accounts.scopes import MANAGE, Scope
from core.refusals import refuses
from credits.models import SpendLimit
from metering import serializers
from metering.budgets import shapes
from metering.budgets.errors import InvalidBudget, UnknownBudget
from metering.budgets.models import Budget
from metering.budgets.state import state_of, states_of
from metering.budgets.usage import events_in_scope
from metering.pagination import EventPagination
from metering.services import BudgetTerms, create_budget, delete_budget, update_budget

MOST_WINDOWS = 400


class BudgetViewSet(viewsets.GenericViewSet):
    """The organization's budgets."""

    scopes = {
        "list": Scope.USAGE_READ,
        "retrieve": Scope.USAGE_READ,
        "windows": Scope.USAGE_READ,
        "create": MANAGE,
        "partial_update": MANAGE,
        "destroy": MANAGE,
    }
    serializer_class: Any = shapes.BudgetSerializer
    pagination_class: Any = None
    queryset = Budget.objects.none()

    def get_queryset(self) -> QuerySet[Budget]:
        """The caller's own budgets."""
        if not getattr(self.request, "auth", None):  # while the API document is made
            return self.queryset
        return Budget.objects.filter(organization_id=self._principal.organization_id).order_by("created_at", "id")

    @extend_schema(parameters=[shapes.BudgetListQuerySerializer], responses=shapes.BudgetListSerializer)
    def list(self, request: Request) -> Response:
        """Your budgets, oldest first, each as it stands now."""
        asked = shapes.BudgetListQuerySerializer(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        found = states_of(self.get_queryset().filter(**asked.validated_data), timezone.now())
        return Response(shapes.BudgetListSerializer({"data": found}).data)

    def retrieve(self, request: Request, pk: Any = None) -> Response:
        """One budget as it stands now."""
        return self._answer(self._budget(pk))

    @extend_schema(
        request=shapes.BudgetRequestSerializer,
        responses={201: shapes.BudgetSerializer},
        examples=[shapes.BUDGET_EXAMPLE],
    )
    @refuses(InvalidBudget, NotInTier)
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a budget. What was used before in the window counts.

        With `block`, the most that a call may cost is reserved together with its credit, so calls at the same time
        cannot spend more than there is. Calls with your own provider key count with what the provider bills you.
        """
        body = shapes.BudgetRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return self._answer(create_budget(terms=BudgetTerms(**body.validated_data), **self._who_and_when()), status=201)

    @extend_schema(
        request=shapes.BudgetChangeSerializer, responses=shapes.BudgetSerializer, examples=[shapes.CHANGE_EXAMPLE]
    )
    @refuses(InvalidBudget, NotInTier)
    @idempotent
    def partial_update(self, request: Request, pk: Any = None) -> Response:
        """Change a budget; what is spent stays. With another period the window is counted anew.

        Whose usage counts cannot change: make another budget.
        """
        body = shapes.BudgetChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        budget = update_budget(budget_id=self._budget(pk).pk, **body.validated_data, **self._who_and_when())
        return self._answer(budget)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: Any = None) -> Response:
        """Delete a budget with its windows. Calls that it refused are admitted from now on."""
        delete_budget(budget_id=self._budget(pk).pk, **self._who_and_when())
        return Response(status=204)

    @extend_schema(operation_id="budgets_windows", responses=shapes.BudgetWindowListSerializer)
    def windows(self, request: Request, pk: Any = None) -> Response:
        """What counted in each window, newest first, up to 400. One without any usage is left out."""
        windows = SpendLimit.objects.filter(budget_id=self._budget(pk).pk).order_by("-starts_at")[:MOST_WINDOWS]
        return Response(shapes.BudgetWindowListSerializer({"data": windows}).data)

    @property
    def _principal(self) -> Principal:
        return cast(Principal, self.request.auth)

    def _budget(self, pk: Any) -> Budget:
        budget = self.get_queryset().filter(pk=pk).first()
        if budget is None:
            raise UnknownBudget()
        return budget

    def _answer(self, budget: Budget, status: int = 200) -> Response:
        return Response(shapes.BudgetSerializer(state_of(budget, timezone.now())).data, status=status)

    def _who_and_when(self) -> dict[str, Any]:
        principal = self._principal
        return {"organization_id": principal.organization_id, "actor": principal.as_actor, "at": timezone.now()}


class BudgetEventsViewSet(BudgetViewSet):
    """The events that a budget counts."""

    scopes = {"events": Scope.USAGE_READ}
    serializer_class = serializers.EventSerializer
    pagination_class = EventPagination

    @extend_schema(operation_id="budgets_events", responses=serializers.EventSerializer(many=True))
    def events(self, request: Request, pk: Any = None) -> Response:
        """The events that count in the window of now, newest first."""
        budget = self._budget(pk)
        state = state_of(budget, timezone.now())
        events = events_in_scope(budget).filter(occurred_at__gte=state.starts_at).defer("derivation")
        if state.resets_at is not None:
            events = events.filter(occurred_at__lt=state.resets_at)
        page = self.paginate_queryset(events)
        return self.get_paginated_response(serializers.EventSerializer(page, many=True).data)
