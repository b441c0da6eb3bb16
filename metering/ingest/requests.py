"""A request that reports usage, from its bytes to its answer, alone or together with others."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.idempotency import Answer
from core.errors import DomainError
from metering.ingest.reporter import Reporter
from metering.ingest.reports import Report, record_reports
from metering.ingest.routes import Route, refusal_answer


@dataclass(slots=True)
class IngestRequest:
    """The body of one request, and what became of decoding it."""

    route: Route
    reporter: Reporter
    body: bytes
    at: datetime
    report: Report | None = None

    def read(self) -> Report:
        """Its events; decoded once. Raises DomainError when the request is refused whole."""
        if self.report is None:
            self.report = Report(self.reporter, self.route.decode(self.body, self.at), self.at)
        return self.report


def price_request(request: IngestRequest) -> None:
    """Decode and price a request ahead of :func:`answer_requests`. Raises DomainError as that will find."""
    request.read().price()


def answer_requests(requests: Sequence[IngestRequest]) -> list[Answer]:
    """Record the events of all requests together and answer each; safe to run again with the same requests."""
    answers: dict[int, Answer] = {}
    reports: list[tuple[int, Report]] = []
    for place, request in enumerate(requests):
        try:
            report = request.read()
            report.price()
            reports.append((place, report))
        except DomainError as refusal:
            answers[place] = refusal_answer(refusal)
    if reports:
        endings = record_reports([report for _, report in reports])
        for (place, _), ended in zip(reports, endings, strict=True):
            answers[place] = requests[place].route.answer(ended)
    return [answers[place] for place in range(len(requests))]
