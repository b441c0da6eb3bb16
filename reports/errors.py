"""Refusals of reports."""

from core.errors import DomainError


class ReportWanted(DomainError):
    """The organization gets this report already; change who it goes to."""

    code = "report_exists"
    status = 409
    title = "This report is sent already."


class NobodyToWriteTo(DomainError):
    """A report needs at least one recipient."""

    code = "recipient_required"
    status = 400
    title = "Name at least one member who gets the report."
