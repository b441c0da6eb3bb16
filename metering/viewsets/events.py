"""REST API of single events: list, read, explain, take back, correct."""

from typing import Any, cast

from django.db.models import QuerySet
from django.utils import timezone
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import InsufficientScope
from accounts.idempotency import idempotent
from accounts.principal import Principal
from accounts.scopes import Scope
from core.refusals import refuses
from credits.errors import InsufficientCredits
from metering import serializers as shapes
from metering.errors import AlreadyCorrected, AmountTooLarge, UnknownEvent, UnknownModel, UnpriceableCall, UnpricedUsage
from metering.explaining import words_of
from metering.filters import EventFilter
from metering.ingest.corrections import decode_correction, replacement_of
from metering.ingest.reporter import Reporter
from metering.ingest.schema import CORRECTION, CORRECTION_EXAMPLE
from metering.models import UsageEvent
from metering.pagination import EventPagination
from metering.receipt import receipt_of
from metering.services import correct_event, void_event


class EventViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """The organization's usage events."""

    scopes = {
        "list": Scope.USAGE_READ,
        "retrieve": Scope.USAGE_READ,
        "explain": Scope.USAGE_READ,
        "void": Scope.USAGE_WRITE,
        "correct": Scope.USAGE_WRITE,
    }
    serializer_class = shapes.EventSerializer
    pagination_class = EventPagination
    filter_backends = [DjangoFilterBackend]
    filterset_class = EventFilter
    queryset = UsageEvent.objects.none()

    def get_queryset(self) -> QuerySet[UsageEvent]:
        """The caller's own events."""
        if not getattr(self.request, "auth", None):  # while the API document is made
            return self.queryset
        return UsageEvent.objects.filter(organization_id=self._principal.organization_id).defer("derivation")

    @extend_schema(responses=shapes.ExplanationSerializer)
    def explain(self, request: Request, pk: Any = None) -> Response:
        """Why the event cost what it did: prices, markup, who paid, and whether it still adds up."""
        event = self._event(pk)
        receipt = receipt_of(event)
        answer = {"event": event, "words": words_of(event, receipt), "receipt": receipt}
        return Response(shapes.ExplanationSerializer(answer).data)

    @extend_schema(request=shapes.ReasonSerializer, responses=shapes.CorrectionSerializer)
    @refuses(AlreadyCorrected, InsufficientScope)
    @idempotent
    def void(self, request: Request, pk: Any = None) -> Response:
        """Take an event back: it counts no longer and its charge is returned. Again, it changes nothing.

        Calls made through the gateway were billed by the provider: taking one back needs the scope `admin`.
        """
        event = self._changeable(pk)
        body = shapes.ReasonSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        done = void_event(event_id=event.id, reason=body.validated_data["reason"], **self._who_and_when())
        return Response(shapes.CorrectionSerializer(done.correction).data)

    @extend_schema(
        request={"application/json": CORRECTION}, responses=shapes.CorrectedSerializer, examples=[CORRECTION_EXAMPLE]
    )
    @refuses(
        AlreadyCorrected,
        InsufficientScope,
        InsufficientCredits,
        UnknownModel,
        UnpricedUsage,
        UnpriceableCall,
        AmountTooLarge,
    )
    @idempotent
    def correct(self, request: Request, pk: Any = None) -> Response:
        """Replace an event: the old charge is returned and the new one made, both or neither.

        The same correction again changes nothing. `occurred_at` stays as it was unless the new event names another.
        """
        event = self._changeable(pk)
        asked = decode_correction(request._request.body, timezone.now())
        who = self._who_and_when()
        replacement = replacement_of(event, asked, Reporter.of(self._principal), at=who["at"])
        done = correct_event(event_id=event.id, replacement=replacement, reason=asked.reason, **who)
        answer = {"correction": done.correction, "event": self._event(done.correction.replacement_id)}
        return Response(shapes.CorrectedSerializer(answer).data)

    @property
    def _principal(self) -> Principal:
        return cast(Principal, self.request.auth)

    def _event(self, pk: Any) -> UsageEvent:
        event = UsageEvent.objects.filter(organization_id=self._principal.organization_id, id=pk).first()
        if event is None:
            raise UnknownEvent()
        return event

    def _changeable(self, pk: Any) -> UsageEvent:
        """The event, if the caller may take it back. Raises UnknownEvent, InsufficientScope."""
        event = self._event(pk)
        if event.source == "gateway" and not self._principal.has_scope(Scope.ADMIN):
            raise InsufficientScope(
                "The provider has billed this call: only an operator can take it back.",
                required_scope=str(Scope.ADMIN),
            )
        return event

    def _who_and_when(self) -> dict[str, Any]:
        principal = self._principal
        return {"organization_id": principal.organization_id, "actor": principal.actor, "at": timezone.now()}
