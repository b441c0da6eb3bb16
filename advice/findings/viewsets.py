"""REST API of recommendations."""

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.entitlements import NotInTier
from accounts.idempotency import idempotent
from accounts.principal import Principal
from accounts.scopes import MANAGE, Scope
from advice import services
from advice.errors import NotApplicable, RecommendationDecided, UnknownRecommendation
from advice.findings import shapes
from advice.findings.reading import advice_for, has_figures, level_of, review_of
from core.refusals import refuses
from openrouter.errors import InvalidRoutingRule

_DECIDING = ("dismiss", "reopen", "apply", "withdraw")  # to route calls otherwise is for managers


class RecommendationViewSet(viewsets.GenericViewSet):
    """Ways to spend less, with the figures they rest on."""

    scopes = {"list": Scope.USAGE_READ, "retrieve": Scope.USAGE_READ, **dict.fromkeys(_DECIDING, MANAGE)}
    serializer_class = shapes.RecommendationSerializer
    pagination_class = None  # a handful
    filter_backends: list[Any] = []

    @extend_schema(
        operation_id="recommendations_list",
        parameters=[shapes.RecommendationQuerySerializer],
        responses=shapes.RecommendationsSerializer,
    )
    def list(self, request: Request) -> Response:
        """What would save money, by the usage of the last thirty days. Each stands for itself: they do not add up."""
        query = shapes.RecommendationQuerySerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        seen, level = review_of(self._organization_id), level_of(self._organization_id)
        facts = shapes.NOTHING if seen is None else {name: getattr(seen, name) for name in shapes.NOTHING}
        answer = {**facts, "level": level, "data": advice_for(self._organization_id, **query.validated_data)}
        return Response(shapes.RecommendationsSerializer(answer, context=self._context(level)).data)

    @extend_schema(operation_id="recommendations_retrieve")
    @refuses(UnknownRecommendation)
    def retrieve(self, request: Request, pk: Any = None) -> Response:
        """One recommendation."""
        return self._answer(pk)

    @extend_schema(
        operation_id="recommendations_dismiss", request=shapes.DismissSerializer, examples=[shapes.DISMISS_EXAMPLE]
    )
    @refuses(UnknownRecommendation, RecommendationDecided)
    @idempotent
    def dismiss(self, request: Request, pk: Any = None) -> Response:
        """Let it be. It is not told again until it is opened again."""
        body = shapes.DismissSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return self._decide(services.dismiss_recommendation, pk, **body.validated_data)

    @extend_schema(operation_id="recommendations_reopen", request=None)
    @refuses(UnknownRecommendation, RecommendationDecided)
    @idempotent
    def reopen(self, request: Request, pk: Any = None) -> Response:
        """Take a dismissal back."""
        return self._decide(services.reopen_recommendation, pk)

    @extend_schema(operation_id="recommendations_apply", request=None)
    @refuses(UnknownRecommendation, RecommendationDecided, NotApplicable, NotInTier, InvalidRoutingRule)
    @idempotent
    def apply(self, request: Request, pk: Any = None) -> Response:
        """Have the gateway follow it in your calls, within a second: a routing rule of your own. It can be undone."""
        return self._decide(services.apply_recommendation, pk)

    @extend_schema(operation_id="recommendations_withdraw", request=None)
    @refuses(UnknownRecommendation, RecommendationDecided)
    @idempotent
    def withdraw(self, request: Request, pk: Any = None) -> Response:
        """Undo what applying it did: calls are routed as before."""
        return self._decide(services.withdraw_recommendation, pk)

    @property
    def _organization_id(self) -> UUID:
        return cast(Principal, self.request.auth).organization_id

    def _decide(self, decide: Callable[..., Any], pk: UUID, **more: Any) -> Response:
        actor = cast(Principal, self.request.auth).as_actor
        decide(recommendation_id=pk, organization_id=self._organization_id, actor=actor, at=timezone.now(), **more)
        return self._answer(pk)

    def _answer(self, pk: UUID) -> Response:
        found = advice_for(self._organization_id, pk=pk)
        if not found:
            raise UnknownRecommendation()
        context = self._context(level_of(self._organization_id))
        return Response(shapes.RecommendationSerializer(found[0], context=context).data)

    def _context(self, level: str) -> dict[str, Any]:
        return {"with_figures": has_figures(level)}
