"""E-mails are rows: written once, sent once, tried again until they leave, given up for an operator to see."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from outbox import mail as outbox_mail
from outbox import tasks
from outbox.mail import KEPT, MOST_ATTEMPTS, forget_emails, queue_email, retry_email, send_emails
from outbox.models import EmailDelivery
from tests.builders import NOON, make_user, sign_in
from tests.concurrency.parallel import run_parallel

pytestmark = pytest.mark.django_db(transaction=True)


def write(key="a", **fields):
    fields = {"recipient": "ada@example.com", "subject": "Hello", "body": "Text\n", "organization_id": None, **fields}
    return queue_email(key=key, at=timezone.now(), **fields)


@pytest.fixture
def away(settings):
    """A mail server that refuses until the list is emptied."""
    settings.EMAIL_BACKEND = "tests.outbox.test_mail.Refusing"
    Refusing.refuses = ["ada@example.com"]
    yield Refusing.refuses
    Refusing.refuses = []


class Refusing(EmailBackend):
    refuses: list[str] = []

    def send_messages(self, messages):
        if messages[0].to[0] in self.refuses:
            raise ConnectionRefusedError("the mail server is away")
        return super().send_messages(messages)


def test_a_message_is_written_once_under_its_key_and_sent_once():
    first = write()
    assert write(body="Another text") == first
    assert send_emails(at=timezone.now()) == (1, 0)
    assert send_emails(at=timezone.now()) == (0, 0)
    [letter] = mail.outbox
    assert (letter.to, letter.subject, letter.body) == (["ada@example.com"], "Hello", "Text\n")
    assert letter.extra_headers["Message-ID"] == f"<{first.id}@farebox>"
    first.refresh_from_db()
    assert first.status == "sent" and first.sent_at is not None


def test_a_subject_cannot_smuggle_in_a_header():
    write(subject="Hello\r\nBcc: everybody@example.com")
    assert send_emails(at=timezone.now()) == (1, 0)
    assert mail.outbox[0].subject == "Hello Bcc: everybody@example.com" and mail.outbox[0].bcc == []


def test_what_was_not_sent_is_tried_again_later_and_keeps_nobody_else_waiting(away):
    refused = write()
    write("b", recipient="bob@example.com")
    assert send_emails(at=timezone.now()) == (1, 1)
    assert [letter.to for letter in mail.outbox] == [["bob@example.com"]]
    refused.refresh_from_db()
    assert refused.status == "waiting" and "the mail server is away" in refused.last_error
    assert send_emails(at=timezone.now()) == (0, 0)
    away.clear()
    assert send_emails(at=refused.retry_at) == (1, 0)


def test_after_the_last_attempt_an_operator_decides(away):
    delivery = write()
    EmailDelivery.objects.update(attempts=MOST_ATTEMPTS - 1)
    send_emails(at=timezone.now())
    delivery.refresh_from_db()
    assert delivery.status == "failed"
    assert send_emails(at=timezone.now() + timedelta(days=9)) == (0, 0)
    away.clear()
    retry_email(delivery_id=delivery.id)
    assert send_emails(at=timezone.now()) == (1, 0)
    retry_email(delivery_id=delivery.id)  # what has left does not leave again
    assert send_emails(at=timezone.now()) == (0, 0)


def test_parallel_senders_send_each_once():
    for n in range(40):
        write(str(n))
    run_parallel([lambda: send_emails(at=timezone.now(), limit=10) for _ in range(8)])
    while send_emails(at=timezone.now())[0]:
        pass
    assert len(mail.outbox) == 40


def test_a_slow_mail_server_keeps_no_message_beyond_its_lease_and_no_worker(monkeypatch, settings):
    """Else the next run would send them too, and each run would take another worker."""
    for n in range(3):
        write(str(n))
    slow = iter([0, 0, outbox_mail.RUN_SECONDS])
    monkeypatch.setattr(outbox_mail, "time", SimpleNamespace(monotonic=lambda: next(slow)))
    monkeypatch.setattr(EmailBackend, "close", lambda backend: 1 / 0)
    assert send_emails(at=NOON) == (1, 0)
    assert list(EmailDelivery.objects.order_by("key").values_list("status", "attempts")) == [
        ("sent", 1),
        ("waiting", 0),
        ("waiting", 0),
    ]
    monkeypatch.undo()
    assert send_emails(at=NOON) == (2, 0)
    assert len(mail.outbox) == 3 and settings.EMAIL_TIMEOUT == 10


def test_a_sender_that_dies_leaves_its_messages_to_the_next(monkeypatch):
    write()
    with monkeypatch.context() as dying:
        dying.setattr("outbox.mail._send", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            send_emails(at=NOON)
    assert send_emails(at=NOON + timedelta(minutes=4)) == (0, 0)
    assert send_emails(at=NOON + timedelta(minutes=5)) == (1, 0)


def test_the_task_tells_of_messages_that_stay(away, monkeypatch):
    told = []
    monkeypatch.setattr(tasks, "note_problem", told.append)
    write()
    assert tasks.send_emails() == 0 and told == ["1 e-mails could not be sent; each will be tried again."]


def test_old_messages_are_forgotten_but_none_that_waits():
    for key, status in (("a", "sent"), ("b", "waiting"), ("c", "failed")):
        write(key)
        EmailDelivery.objects.filter(key=key).update(status=status, created_at=NOON - KEPT - timedelta(days=1))
    assert forget_emails(at=NOON) == 2 and EmailDelivery.objects.get().key == "b"


def test_an_operator_sends_again_what_was_given_up():
    delivery = write()
    EmailDelivery.objects.update(status="failed", attempts=MOST_ATTEMPTS)
    client = sign_in(make_user(is_staff=True, is_superuser=True))
    client.post("/admin/outbox/emaildelivery/", {"action": "retry", "_selected_action": [str(delivery.pk)]})
    assert send_emails(at=timezone.now()) == (1, 0)


def test_what_a_letter_says_is_shown_to_superusers_alone():
    link = "https://farebox.example/invitations/let-me-in/"
    address = f"/admin/outbox/emaildelivery/{write(body=link).pk}/change/"
    boss, support = make_user(is_staff=True, is_superuser=True), make_user(is_staff=True)
    support.user_permissions.set(Permission.objects.filter(codename="view_emaildelivery"))
    shown = {who: sign_in(who).get(address) for who in (boss, support)}
    assert [answer.status_code for answer in shown.values()] == [200, 200]
    assert [link in answer.content.decode() for answer in shown.values()] == [True, False]
    assert "ada@example.com" in shown[support].content.decode()
