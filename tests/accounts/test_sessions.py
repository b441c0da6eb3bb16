"""Sessions that are over leave the database; those that are not stay."""

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.sessions import forget_sessions
from tests.builders import make_user, sign_in

pytestmark = pytest.mark.django_db


def signed_in(person):
    """A browser session and where it is from, as the sign-in library notes it."""
    session = sign_in(person).session
    told = {"ip": "127.0.0.1", "user_agent": "Firefox", "session_key": session.session_key}
    return UserSession.objects.create(user=person, **told)


def test_what_has_expired_or_was_ended_is_dropped_and_what_runs_stays():
    person, now = make_user(), timezone.now()
    running, expired, ended = (signed_in(person) for _ in range(3))
    Session.objects.filter(pk=expired.session_key).update(expire_date=now - timedelta(seconds=1))
    Session.objects.filter(pk=ended.session_key).delete()
    assert forget_sessions(at=now) == 3
    assert list(UserSession.objects.values_list("pk", flat=True)) == [running.pk]
    assert list(Session.objects.values_list("pk", flat=True)) == [running.session_key]
    assert forget_sessions(at=now) == 0


def test_a_run_drops_so_many_and_leaves_the_rest_to_the_next():
    person, now = make_user(), timezone.now()
    for _ in range(3):
        signed_in(person)
    Session.objects.update(expire_date=now - timedelta(days=1))
    assert [forget_sessions(at=now, limit=2) for _ in range(3)] == [4, 2, 0]
