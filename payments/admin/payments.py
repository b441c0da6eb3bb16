"""Payments: to be looked at, marked as paid, refunded, canceled."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.operators import operator
from core import amounts
from core.action_page import action_page
from core.admin import LargeTable, OperatedAdmin
from payments.admin.forms import CancelForm, LeavePaidForm, MarkPaidForm, PaymentForm, RefundForm
from payments.models import REFUND_FAILED, Payment, Status
from payments.words import description_of


@admin.register(Payment)
class PaymentAdmin(LargeTable, OperatedAdmin):
    """What organizations owe and have paid."""

    list_display = ["created_at", "organization", "what", "status", "shown_amount", "provider"]
    list_display_links = ["created_at", "what"]
    list_filter = ["status", "purpose", "provider", "collection", "created_at", "organization__mode"]
    list_select_related = ["organization"]
    search_fields = ["=id", "organization__name", "=provider_reference", "=key", "requested_by"]
    ordering = ["-created_at", "-id"]
    change_form_template = "admin/payments/payment/change_form.html"
    fieldsets = [
        (None, {"fields": ["organization", "what", "purpose", "status", "requested_by", "subject", "key"]}),
        (
            "Money (USD)",
            {"fields": ["gross", "discount", "discount_used", "amount", "credits", "refunded", "refund_reference"]},
        ),
        (
            "Collection",
            {
                "fields": [
                    *("collection", "provider", "provider_reference", "checkout_reference", "method", "attempts"),
                    *("failure_code", "failure_message", "retry_at", "due_at", "created_at", "paid_at", "ended_at"),
                ]
            },
        ),
    ]

    @admin.display(description="for")
    def what(self, payment: Payment) -> str:
        """What it is for."""
        return description_of(payment)

    @admin.display(description="amount", ordering="amount")
    def shown_amount(self, payment: Payment) -> str:
        """What is paid."""
        return amounts.full(payment.amount)

    def get_urls(self) -> list[URLPattern]:
        """The pages that do something come before the catch-all of the change page."""
        wrap = self.admin_site.admin_view
        return [
            path("<uuid:payment_id>/mark-paid/", wrap(self.mark_paid), name="payments_payment_mark_paid"),
            path("<uuid:payment_id>/refund/", wrap(self.refund), name="payments_payment_refund"),
            path("<uuid:payment_id>/leave-paid/", wrap(self.leave_paid), name="payments_payment_leave_paid"),
            path("<uuid:payment_id>/cancel/", wrap(self.cancel), name="payments_payment_cancel"),
            *super().get_urls(),
        ]

    def mark_paid(self, request: HttpRequest, payment_id: UUID) -> HttpResponse:
        """The money arrived by another way."""
        return self._act(request, payment_id, MarkPaidForm(request.POST or None))

    def refund(self, request: HttpRequest, payment_id: UUID) -> HttpResponse:
        """Give money back."""
        return self._act(request, payment_id, RefundForm(request.POST or None))

    def leave_paid(self, request: HttpRequest, payment_id: UUID) -> HttpResponse:
        """Give nothing back after a refund that failed."""
        return self._act(request, payment_id, LeavePaidForm(request.POST or None))

    def cancel(self, request: HttpRequest, payment_id: UUID) -> HttpResponse:
        """Give it up."""
        return self._act(request, payment_id, CancelForm(request.POST or None))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The payment, what may be done with it, and what the provider said of it."""
        payment = self.get_object(request, object_id)
        shown: dict[str, Any] = {}
        if payment is not None:
            shown = {
                "title": description_of(payment),
                "subtitle": str(payment.organization),
                "may_operate": self.has_operate_permission(request),
                "is_open": payment.status == Status.OPEN,
                "is_paid": payment.status == Status.SUCCEEDED and bool(payment.amount),
                "refund_failed": payment.failure_code == REFUND_FAILED,
                "disputes": payment.disputes.order_by("-opened_at"),
                "events": payment.incoming_events.order_by("-received_at")[:20],
            }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def _act(self, request: HttpRequest, payment_id: UUID, form: PaymentForm) -> HttpResponse:
        payment = Payment.objects.select_related("organization").filter(pk=payment_id).first()
        if payment is None:
            raise Http404("No such payment.")

        def work() -> str:
            done = form.carry_out(payment_id=payment_id, actor=operator(request).label, at=timezone.now())
            return f"{form.title}: done. The payment is {done.get_status_display().lower()}."

        facts = {
            "Organization": payment.organization,
            "For": description_of(payment),
            "Status": payment.get_status_display(),
            "Amount": amounts.full(payment.amount),
            "Credit with it": amounts.full(payment.credits),
            "Provider": payment.provider,
        }
        return action_page(request, payment, form, title=form.title, lead=form.lead, work=work, facts=facts)
