"""Talking with providers about payments: pages, charges, questions, refunds. No call is made inside a transaction.

A charge goes through three steps: *claim* (a short transaction marks the payment as processing until a lease ends), the
call, and *record* (a short transaction books the answer). A process that dies in between leaves a payment whose lease
ends: the next one asks the provider what became of that very try before it charges anything, under the same
idempotency key.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from outbox.taskruns import apart
from payments.errors import PaymentNotOpen, ProviderRefused, ProviderUnavailable
from payments.models import Collection, Payment, PaymentMethod, Status
from payments.providers import provider_called, provider_name_for
from payments.providers.port import Answer, Provider, Verdict
from payments.services.methods import customer_of, default_method, save_method
from payments.services.provider_refunds import refund_not_made
from payments.services.settling import BY_HAND, decline, end_unpaid, locked_payment, not_open, succeed

log = structlog.get_logger(__name__)

LEASE = timedelta(minutes=5)
# How long a page of a provider may be used; then it is asked what became of it.
PAGE_LIFETIME = timedelta(hours=25)
# The next question about a charge whose outcome the provider itself does not know yet.
PENDING_PAUSE = timedelta(hours=1)
ACTOR = "payments"


def open_checkout(*, payment_id: UUID, at: datetime, organization_id: UUID | None = None) -> Payment:
    """Give the payment a page to pay on (``checkout_url``), also one whose automatic charge was declined.

    Raises PaymentNotOpen, UnknownPayment, ProviderUnavailable, ProviderRefused.
    """
    with transaction.atomic():
        payment = locked_payment(payment_id, organization_id)
        if payment.status != Status.OPEN:
            raise not_open(payment)
        leave_sandbox(payment)
        payment.save()
        if payment.checkout_url:
            return payment
    customer = customer_of(payment.organization_id, payment.provider)
    page = provider_called(payment.provider).open_checkout(payment, customer=customer)
    with transaction.atomic():
        payment = locked_payment(payment_id)
        if payment.status != Status.OPEN:
            raise not_open(payment)
        payment.checkout_reference, payment.checkout_url = page.reference, page.url
        payment.pages += 1
        if page.reference and payment.collection == Collection.CHECKOUT:
            payment.retry_at = at + PAGE_LIFETIME
        payment.save(update_fields=["checkout_reference", "checkout_url", "pages", "retry_at"])
    return payment


def submit_due(*, at: datetime, limit: int = 100) -> int:
    """Take the next automatic step of every payment that is due; the number of payments dealt with.

    Any number of workers may do so at once.
    """
    done = 0
    for payment_id in Payment.objects.due(at).values_list("id", flat=True)[:limit]:
        # The lease keeps one that fails for later; the others need not wait for it.
        with apart("payments.submission_failed", payment_id):
            submit_payment(payment_id=payment_id, at=at)
        done += 1
    return done


def submit_payment(*, payment_id: UUID, at: datetime) -> Payment:
    """The payment after its next automatic step: a charge, a question, a refund; unchanged when none is due.

    Call it outside transactions. A provider that is away leaves the payment for the next run.
    """
    payment = _claim(payment_id, at)
    if payment is None:
        return Payment.objects.get(pk=payment_id)
    step = _step_of(payment)
    try:
        step(payment, at)
    except ProviderUnavailable as away:
        log.warning("payments.provider_away", payment_id=str(payment_id), provider=payment.provider, reason=away.detail)
    except ProviderRefused as refusal:
        _record_refusal(payment, refusal, at)
    payment.refresh_from_db()
    return payment


def refresh_payment(*, payment_id: UUID, at: datetime) -> Payment:
    """Ask the provider what became of a page that somebody has come back from, without waiting for its message."""
    payment = Payment.objects.get(pk=payment_id)
    if payment.is_unsettled and payment.checkout_reference:
        try:
            answer = provider_called(payment.provider).look_up_page(payment)
        except (ProviderUnavailable, ProviderRefused):
            return payment
        if answer.verdict == Verdict.PAID:
            record_answer(payment.id, answer, at=at)
        payment.refresh_from_db()
    return payment


# ---------------------------------------------------------------- the three steps


def _claim(payment_id: UUID, at: datetime) -> Payment | None:
    """Mark a due payment as being dealt with until the lease ends; None when it is not due (any more)."""
    with transaction.atomic():
        rows = Payment.objects.select_related("organization").select_for_update(of=("self",), no_key=True)
        payment = rows.get(pk=payment_id)
        if payment.retry_at is None or payment.retry_at > at or payment.is_held:
            return None
        leave_sandbox(payment)
        if payment.retry_at is None:
            payment.save()
            return None
        payment.retry_at = at + LEASE
        if payment.status == Status.OPEN and payment.collection == Collection.AUTOMATIC:
            payment.status = Status.PROCESSING
            payment.attempts += 1
            payment.method = default_method(payment.organization_id, payment.provider)
            # A first try; a payment that was processing already is asked about before.
            payment.is_fresh_try = True  # type: ignore[attr-defined]
        payment.save()
        return payment


def leave_sandbox(payment: Payment) -> None:
    """Let the provider that collects now collect what was to be paid with test cards before it was set up.

    Where an operator collects, nothing more happens by itself. The caller holds the lock and saves.
    """
    now = provider_name_for(is_test=payment.organization.is_test)
    if not payment.is_unsettled or payment.provider != "sandbox" or now == "sandbox":
        return
    payment.provider, payment.status = now, Status.OPEN
    payment.checkout_reference = payment.checkout_url = ""
    if now == "manual":
        payment.collection, payment.retry_at = Collection.MANUAL, None
    elif payment.collection == Collection.CHECKOUT:
        payment.retry_at = None


def _step_of(payment: Payment) -> Callable[[Payment, datetime], None]:
    if payment.status == Status.REFUNDED:
        return _send_refund
    if payment.status in (Status.CANCELED, Status.FAILED):
        return _close_page
    if payment.collection == Collection.AUTOMATIC and payment.status == Status.PROCESSING:
        return _charge
    return _ask_about_page


def _charge(payment: Payment, at: datetime) -> None:
    provider = provider_called(payment.provider)
    if payment.method is None or payment.method.removed_at is not None:
        record_answer(payment.id, _NO_METHOD, at=at)
        return
    if payment.checkout_reference and not _leave_page(provider, payment, at):
        return
    answer = Answer(Verdict.UNKNOWN) if hasattr(payment, "is_fresh_try") else provider.look_up(payment)
    if answer.verdict == Verdict.UNKNOWN:
        answer = provider.charge(payment, payment.method)
    record_answer(payment.id, answer, at=at)


def _leave_page(provider: Provider, payment: Payment, at: datetime) -> bool:
    """Nobody shall pay on a page while the saved method is charged; False when somebody has paid there, or may have."""
    provider.close_checkout(payment)
    page = provider.look_up_page(payment)
    if page.verdict in (Verdict.PAID, Verdict.PENDING):
        record_answer(payment.id, page, at=at)
        return False
    payment.checkout_reference = payment.checkout_url = ""
    Payment.objects.filter(pk=payment.pk).update(checkout_reference="", checkout_url="")
    return True


_NO_METHOD = Answer(Verdict.DECLINED, code="no_payment_method", message="There is no saved payment method.")


def _ask_about_page(payment: Payment, at: datetime) -> None:
    """A page that nobody reported about: paid without our hearing of it, or never used."""
    provider = provider_called(payment.provider)
    answer = provider.look_up_page(payment)
    if answer.verdict == Verdict.UNKNOWN:
        provider.close_checkout(payment)
        answer = Answer(Verdict.CLOSED)
    record_answer(payment.id, answer, at=at)


def _close_page(payment: Payment, at: datetime) -> None:
    """Nobody shall pay on the page of a payment that was given up; who was faster has bought it all the same."""
    provider = provider_called(payment.provider)
    try:
        provider.close_checkout(payment)
        page = provider.look_up_page(payment)
    except ProviderRefused:  # the provider knows of no such page
        page = Answer(Verdict.CLOSED)
    again = at + PENDING_PAUSE if page.verdict == Verdict.PENDING else None
    Payment.objects.filter(pk=payment.pk).update(retry_at=again)
    if page.verdict == Verdict.PAID:
        record_answer(payment.id, page, at=at)


def _send_refund(payment: Payment, at: datetime) -> None:
    by_hand = payment.provider_reference.startswith(BY_HAND)
    answer = Answer(Verdict.PAID, "manual") if by_hand else provider_called(payment.provider).refund(payment)
    if answer.verdict == Verdict.DECLINED:
        raise ProviderRefused(answer.message)
    refunded = Payment.objects.filter(pk=payment.pk, status=Status.REFUNDED, failed_refunds=payment.failed_refunds)
    again = at + PENDING_PAUSE if answer.verdict == Verdict.PENDING else None
    refunded.update(refund_reference=answer.reference, retry_at=again)


def _record_refusal(payment: Payment, refusal: ProviderRefused, at: datetime) -> None:
    if payment.status == Status.REFUNDED:
        attempt = payment.failed_refunds
        refund_not_made(payment_id=payment.id, attempt=attempt, problem=refusal.detail, actor=ACTOR, at=at)
        return
    record_answer(payment.id, Answer(Verdict.DECLINED, code="refused", message=refusal.detail), at=at)


# ---------------------------------------------------------------- booking answers


@transaction.atomic
def record_answer(payment_id: UUID, answer: Answer, *, at: datetime, actor: str = ACTOR) -> str:
    """Book what a provider said of a payment; what became of it in words. Saying it again changes nothing."""
    payment = locked_payment(payment_id)
    if answer.verdict == Verdict.PAID:
        return _record_paid(payment, answer, actor, at)
    if not payment.is_unsettled:
        return f"The payment is {payment.status}."
    if answer.verdict == Verdict.DECLINED:
        decline(payment, code=answer.code, message=answer.message, actor=actor, at=at)
    elif answer.verdict == Verdict.CLOSED:
        _record_closed(payment, answer, actor, at)
    elif payment.status == Status.PROCESSING or payment.retry_at:
        payment.retry_at = at + PENDING_PAUSE
        payment.save(update_fields=["retry_at"])
    return f"The payment is {payment.status}."


def _record_paid(payment: Payment, answer: Answer, actor: str, at: datetime) -> str:
    if payment.status in (Status.SUCCEEDED, Status.REFUNDED):
        if answer.reference and payment.provider_reference not in ("", answer.reference):
            raise PaymentNotOpen(
                "It was paid twice; refund the second payment with the provider.",
                payment_status=payment.status,
                reference=answer.reference,
            )
        return f"The payment is {payment.status}."
    if answer.amount != payment.amount:
        raise PaymentNotOpen(
            f"{answer.amount} USD was paid for a payment of {payment.amount} USD.", payment_status=payment.status
        )
    method = _kept_method(payment, answer, actor, at)
    succeed(payment, reference=answer.reference, method=method, actor=actor, at=at)
    return "Paid."


def _kept_method(payment: Payment, answer: Answer, actor: str, at: datetime) -> PaymentMethod | None:
    if answer.method is None:
        return None
    return save_method(
        organization_id=payment.organization_id,
        provider=payment.provider,
        facts=answer.method,
        actor=actor,
        at=at,
    )


def _record_closed(payment: Payment, answer: Answer, actor: str, at: datetime) -> None:
    """A page for bought credit was left: nobody wants it any more. What is owed stays owed, with a fresh page."""
    code, message = answer.code or "abandoned", answer.message or "The page was left."
    if payment.collection == Collection.CHECKOUT and payment.purpose == "credits":
        end_unpaid(payment, Status.CANCELED, code=code, message=message, actor=actor, at=at)
        Payment.objects.filter(pk=payment.pk).update(retry_at=None)  # its page is closed already
        return
    payment.checkout_reference = payment.checkout_url = ""
    if payment.collection == Collection.CHECKOUT:
        payment.retry_at = None
    payment.save(update_fields=["checkout_reference", "checkout_url", "retry_at"])
