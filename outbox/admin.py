"""Operators' pages for the audit trail, the e-mails and the jobs."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.operators import operator
from core.admin import LargeTable, LargeTableAdmin, RetriedAdmin
from core.errors import DomainError
from outbox.jobs import jobs_at, latest_runs, other_tasks, request_run
from outbox.mail import retry_email
from outbox.models import DomainEvent, EmailDelivery, EmailStatus, TaskRun, TaskState
from outbox.services import MOST_ATTEMPTS, retry_event
from outbox.webhooks import admin as webhooks_admin  # noqa: F401  (registers its own)


class _State(admin.SimpleListFilter):
    title, parameter_name = "handing on", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Where an event may be."""
        return [("done", "Done"), ("waiting", "Waiting"), ("failing", "Failing"), ("given_up", "Given up")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DomainEvent]) -> QuerySet[DomainEvent]:
        """The events in the chosen state."""
        waiting = queryset.filter(dispatched_at__isnull=True)
        states = {
            "done": queryset.filter(dispatched_at__isnull=False),
            "waiting": waiting,
            "failing": waiting.exclude(last_error=""),
            "given_up": waiting.filter(attempts__gte=MOST_ATTEMPTS),
        }
        return states.get(self.value() or "", queryset)


@admin.register(DomainEvent)
class DomainEventAdmin(LargeTable, RetriedAdmin):
    """What happened, to whom, by whom; and whether everybody has been told."""

    list_display = ["created_at", "type", "organization", "actor_label", "dispatched_at", "attempts", "last_error"]
    list_filter = [_State, "type"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=organization__id", "organization__name", "actor_label"]
    date_hierarchy = "created_at"
    actions = ["retry"]

    @admin.action(description="Try again now", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[DomainEvent]) -> None:
        """Hand on again what was given up."""
        for event in queryset:
            retry_event(event_id=event.id)
        self.message_user(request, f"{len(queryset)} will be tried again.", messages.SUCCESS)


@admin.register(EmailDelivery)
class EmailDeliveryAdmin(LargeTable, RetriedAdmin):
    """Every message that was written, and whether it has left."""

    list_display = ["created_at", "subject", "recipient", "organization", "status", "attempts", "sent_at", "last_error"]
    list_filter = ["status"]
    list_select_related = ["organization"]
    search_fields = ["=id", "recipient", "=organization__id", "organization__name"]
    actions = ["retry"]

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Links of invitations are for their readers: they let people in."""
        return [] if request.user.is_superuser else ["body"]

    @admin.action(description="Send now what was not sent", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[EmailDelivery]) -> None:
        """Begin again with what was given up; what was sent is not sent twice."""
        unsent = queryset.exclude(status=EmailStatus.SENT)
        for delivery in unsent:
            retry_email(delivery_id=delivery.id)
        self.message_user(request, f"{len(unsent)} will be tried again.", messages.SUCCESS)


@admin.register(TaskState)
class JobAdmin(RetriedAdmin):
    """The beat table: what each job did last, and a way to run it now."""

    search_fields = []
    actions = None
    fields = [
        "name",
        "last_outcome",
        "last_started_at",
        "last_finished_at",
        "last_duration_ms",
        "last_rows",
        "last_effect_at",
        "last_error",
        "last_error_at",
        "failing_since",
        "runs",
        "requested_at",
    ]
    change_form_template = "admin/outbox/taskstate/change_form.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Every entry of the beat table; a POST with ``run`` asks for one of them now."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST" and "run" in request.POST:
            self._run(request, request.POST["run"])
            return HttpResponseRedirect(request.path)
        jobs = jobs_at(timezone.now())
        context = {
            **self.admin_site.each_context(request),
            **(extra_context or {}),
            "title": "Jobs",
            "opts": self.opts,
            "jobs": jobs,
            "others": other_tasks(jobs),
            "troubled": sum(job.needs_somebody for job in jobs),
            "may_run": self.has_retry_permission(request),
        }
        return TemplateResponse(request, "admin/outbox/taskstate/change_list.html", context)

    def _run(self, request: HttpRequest, name: str) -> None:
        if not self.has_retry_permission(request):
            raise PermissionDenied
        try:
            request_run(name=name, actor=operator(request), at=timezone.now())
        except DomainError as refusal:
            self.message_user(request, refusal.detail, messages.ERROR)
        except OperationalError:
            self.message_user(request, "The broker is away: nothing was sent. Try again in a moment.", messages.ERROR)
        else:
            self.message_user(request, f"“{name}” is on its way to a worker.", messages.SUCCESS)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The task with its latest runs that are kept."""
        state = self.get_object(request, object_id)
        shown = {} if state is None else {"title": "Job", "subtitle": state.name, "runs": latest_runs(state.name)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})


@admin.register(TaskRun)
class TaskRunAdmin(LargeTableAdmin):
    """Runs that did something, went wrong or were asked for."""

    list_display = ["finished_at", "task", "outcome", "duration_ms", "rows", "requested_by", "shown_error"]
    list_filter = ["outcome", "task"]
    search_fields = ["task", "requested_by"]
    ordering = ["-finished_at"]

    @admin.display(description="error")
    def shown_error(self, run: TaskRun) -> str:
        """Its beginning."""
        return run.error[:120]
