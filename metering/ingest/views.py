"""Ingestion within Django: for people's sessions, for requests with an ``Idempotency-Key``, and for the documents."""

from typing import ClassVar, cast

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.idempotency import idempotent
from accounts.principal import Principal
from accounts.scopes import Scope
from core.errors import PayloadTooLarge
from core.parsers import refuse_announced_size
from core.refusals import refuses
from credits.errors import HoldNotOpen, InsufficientCredits, SpendLimitReached, UnknownHold
from metering.errors import AmountTooLarge, ByokNotIncluded, UnknownModel, UnpriceableCall, UnpricedUsage
from metering.ingest.decode import TooManyEvents
from metering.ingest.reporter import Reporter
from metering.ingest.requests import IngestRequest, answer_requests
from metering.ingest.routes import TRACK, TRACK_BATCH, Route, refuse_other_types
from metering.ingest.schema import BATCH, BATCH_EXAMPLE, BATCH_RESULT, EVENT, EVENT_ANSWER, EVENT_EXAMPLE

_REFUSALS = (
    InsufficientCredits,
    SpendLimitReached,
    UnknownHold,
    HoldNotOpen,
    UnknownModel,
    UnpricedUsage,
    UnpriceableCall,
    AmountTooLarge,
    ByokNotIncluded,
)


class IngestView(APIView):
    """One of the ingestion routes."""

    scope = Scope.USAGE_WRITE
    rate_surface = "ingest"
    route: ClassVar[Route]

    @property
    def max_body_bytes(self) -> int:
        """The most bytes that the route takes."""
        return self.route.max_body_bytes

    def record(self, request: Request) -> HttpResponse:
        """Record what the body reports and answer."""
        http = request._request
        refuse_other_types(http.headers.get("Content-Type", ""))
        refuse_announced_size(http.META.get("CONTENT_LENGTH"), self.max_body_bytes)
        if len(http.body) > self.max_body_bytes:
            raise PayloadTooLarge(largest_bytes=self.max_body_bytes)
        work = IngestRequest(self.route, Reporter.of(cast(Principal, request.auth)), http.body, timezone.now())
        [answer] = answer_requests([work])
        return HttpResponse(answer.body, answer.content_type, answer.status, headers=answer.headers)


class TrackView(IngestView):
    """Report one use."""

    route = TRACK

    @extend_schema(
        operation_id="metering_track",
        request={"application/json": EVENT},
        responses={200: EVENT_ANSWER, 201: EVENT_ANSWER},
        examples=[EVENT_EXAMPLE],
    )
    @refuses(*_REFUSALS)
    @idempotent
    def post(self, request: Request) -> HttpResponse:
        """Record one use of anything and charge it.

        Send an `external_id` of your own: the same event again is answered with the first one (200, `duplicate`) and
        costs nothing.
        """
        return self.record(request)


class TrackBatchView(IngestView):
    """Report many uses."""

    route = TRACK_BATCH

    @extend_schema(
        operation_id="metering_track_batch",
        request={"application/json": BATCH},
        responses={200: BATCH_RESULT, 207: BATCH_RESULT},
        examples=[BATCH_EXAMPLE],
    )
    @refuses(TooManyEvents)
    @idempotent
    def post(self, request: Request) -> HttpResponse:
        """Record up to 10,000 uses; each is recorded whole or refused on its own.

        207 when some were refused: `results` says which and why, in the order sent; all others are in the books.
        """
        return self.record(request)
