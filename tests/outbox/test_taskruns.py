"""Every run is noted, idle ones in one row a task; a job that fails or does not come is seen."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from billiard.exceptions import TimeLimitExceeded
from celery import current_app
from celery.schedules import crontab, schedule
from django.conf import settings
from django.db import connection, transaction
from django.utils.html import escape

from accounts.principal import Actor
from core.errors import NotFound
from outbox import taskruns
from outbox.jobs import JobJustAskedFor, jobs_at, other_tasks, request_run, schedule_words, troubled_jobs
from outbox.models import DomainEvent, TaskRun, TaskState
from outbox.taskruns import announce_jobs, forget_runs, note_problem, record_run
from tests.builders import NOON, make_user, sign_in
from tests.concurrency.parallel import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = {
    "sweep": {"task": "a.sweep", "schedule": 60},
    "nightly": {"task": "a.nightly", "schedule": crontab(hour="4", minute="15")},
}


def run(task="a.sweep", at=NOON, took=250, **fields):
    record_run(task=task, started_at=at - timedelta(milliseconds=took), finished_at=at, **fields)


def test_idle_runs_leave_one_row_however_many_there_are():
    for n in range(50):
        run(at=NOON + timedelta(seconds=n), rows=0)
    state = TaskState.objects.get()
    assert (state.runs, state.last_rows, state.last_duration_ms, state.last_outcome) == (50, 0, 250, "ok")
    assert state.last_finished_at == NOON + timedelta(seconds=49) and state.last_effect_at is None
    assert not TaskRun.objects.exists()


def test_a_run_that_did_something_failed_or_was_asked_for_has_a_row():
    run(rows=3)
    run(rows=None, outcome="failed", error="ValueError: no")
    run(rows=0, requested_by="boss@example.com")
    run(rows=None)
    assert list(TaskRun.objects.order_by("id").values_list("rows", "outcome", "error", "requested_by")) == [
        (3, "ok", "", ""),
        (None, "failed", "ValueError: no", ""),
        (0, "ok", "", "boss@example.com"),
    ]


def test_a_task_is_failing_from_its_first_bad_run_to_its_next_good_one():
    run(outcome="failed", error="first")
    run(at=NOON + timedelta(minutes=1), outcome="troubled", error="second", rows=1)
    state = TaskState.objects.get()
    assert (state.failing_since, state.last_error, state.last_outcome) == (NOON, "second", "troubled")
    run(at=NOON + timedelta(minutes=2))
    state.refresh_from_db()
    assert (state.failing_since, state.last_error) == (None, "second")  # the words stay until there are others


def test_an_idle_run_costs_one_statement(django_assert_num_queries):
    run()
    with django_assert_num_queries(1):
        run(rows=0)


def test_an_error_is_kept_without_keys():
    run(outcome="failed", error="refused sk-or-v1-0123456789abcdef")
    assert "0123456789" not in TaskRun.objects.get().error + TaskState.objects.get().last_error


def test_old_runs_are_forgotten_good_ones_first():
    for days in (13, 15, 91):
        run(at=NOON - timedelta(days=days), rows=1)
        run(at=NOON - timedelta(days=days), outcome="failed", error="x")
    assert forget_runs(at=NOON) == 3
    ages = sorted(((NOON - each.finished_at).days, each.outcome) for each in TaskRun.objects.all())
    assert ages == [(13, "failed"), (13, "ok"), (15, "failed")]


# ---------------------------------------------------------------- the table of jobs


def overdue(at):
    return {job.name for job in jobs_at(at, TABLE) if job.is_overdue}


def test_a_job_is_overdue_when_a_whole_turn_was_missed():
    run(at=NOON, took=0)
    assert overdue(NOON + timedelta(seconds=119)) == set()
    assert overdue(NOON + timedelta(seconds=121)) == {"sweep"}


def test_a_daily_job_is_overdue_a_quarter_of_an_hour_after_its_time():
    run("a.nightly", at=datetime(2026, 3, 2, 4, 15, 9, tzinfo=UTC), took=0)
    assert overdue(datetime(2026, 3, 3, 4, 29, tzinfo=UTC)) == set()
    assert overdue(datetime(2026, 3, 3, 4, 31, tzinfo=UTC)) == {"nightly"}


def test_a_job_that_never_ran_is_overdue_only_once_beat_has_announced_it():
    assert overdue(NOON) == set()
    announce_jobs(tasks=["a.sweep", "a.nightly"], at=NOON)
    assert overdue(NOON + timedelta(minutes=5)) == {"sweep"}
    announce_jobs(tasks=["a.sweep"], at=NOON + timedelta(minutes=4))  # beat began anew: the clock goes on
    assert overdue(NOON + timedelta(minutes=5)) == {"sweep"}


def test_the_table_is_one_query_and_the_rest_is_listed_apart(django_assert_num_queries):
    run(), run("a.helper")
    with django_assert_num_queries(1):
        jobs = jobs_at(NOON, TABLE)
    assert [job.task for job in jobs] == ["a.sweep", "a.nightly"]
    assert [state.name for state in other_tasks(jobs)] == ["a.helper"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (schedule(timedelta(seconds=2)), "every 2 seconds"),
        (schedule(timedelta(hours=1)), "every hour"),
        (schedule(timedelta(minutes=15)), "every 15 minutes"),
        (schedule(timedelta(seconds=90)), "every 90 seconds"),
        (crontab(hour="4", minute="15"), "daily at 04:15 UTC"),
        (crontab(minute="5"), "hourly at :05"),
        (crontab(minute="0", hour="3", day_of_month="1"), "at 0 3 * 1 * (UTC)"),
    ],
)
def test_schedules_are_said_in_words(entry, words):
    assert schedule_words(entry) == words


def test_every_entry_of_the_real_table_can_be_shown_and_names_a_task_that_exists():
    current_app.loader.import_default_modules()
    for job in jobs_at(NOON):
        assert job.task in current_app.tasks, job
        assert job.schedule and not job.is_overdue


def test_troubled_jobs_are_counted():
    first, *_ = jobs_at(NOON)
    run(first.task, outcome="failed", error="x")
    assert troubled_jobs(NOON) == 1


# ---------------------------------------------------------------- run now


@pytest.fixture
def broker():
    current_app.control.purge()
    yield current_app
    current_app.control.purge()


def waiting():
    with current_app.connection_for_read() as broker:
        return broker.default_channel.client.llen("celery")


def test_a_run_is_asked_for_once_in_a_while_and_audited(broker):
    boss = Actor("boss@example.com")
    request_run(name="expire lots", actor=boss, at=NOON)
    with pytest.raises(JobJustAskedFor):
        request_run(name="expire lots", actor=boss, at=NOON + timedelta(seconds=9))
    assert waiting() == 1
    request_run(name="expire lots", actor=boss, at=NOON + timedelta(seconds=10))
    assert waiting() == 2
    events = DomainEvent.objects.filter(type="job.requested")
    assert [(each.actor_label, each.data) for each in events] == [
        ("boss@example.com", {"job": "expire lots", "task": "credits.tasks.expire_lots"})
    ] * 2


def test_nothing_but_a_job_of_the_table_can_be_run(broker):
    for name in ("openrouter.tasks.provision", "no such job", ""):
        with pytest.raises(NotFound):
            request_run(name=name, actor=Actor("boss"), at=NOON)
    assert waiting() == 0


def test_the_page_lists_every_job_and_runs_one(broker):
    run("credits.tasks.expire_lots", at=NOON, rows=4, outcome="failed", error="The database is away")
    client = sign_in(make_user(is_staff=True, is_superuser=True))
    html = client.get("/admin/outbox/taskstate/").content.decode()
    for job in jobs_at(NOON):
        assert f'value="{escape(job.name)}"' in html
    assert "The database is away" in html and "failing" in html
    answer = client.post("/admin/outbox/taskstate/", {"run": "expire lots"}, follow=True)
    assert "on its way" in answer.content.decode() and waiting() == 1
    answer = client.post("/admin/outbox/taskstate/", {"run": "drop everything"}, follow=True)
    assert "no such job" in answer.content.decode() and waiting() == 1
    assert (
        "credits.tasks.expire_lots"
        in client.get("/admin/outbox/taskstate/credits.tasks.expire_5Flots/change/").content.decode()
    )


def test_without_a_broker_the_page_says_so_and_nothing_is_noted(monkeypatch):
    monkeypatch.setattr("outbox.jobs.current_app", _Deaf())
    client = sign_in(make_user(is_staff=True, is_superuser=True))
    answer = client.post("/admin/outbox/taskstate/", {"run": "expire lots"}, follow=True)
    assert "broker is away" in answer.content.decode()
    assert not DomainEvent.objects.filter(type="job.requested").exists()


class _Deaf:
    conf = current_app.conf

    def send_task(self, *_, **__):
        from kombu.exceptions import OperationalError

        raise OperationalError("away")


# ---------------------------------------------------------------- a real worker


@pytest.fixture
def worker(broker):
    """A worker of its own process on the broker and the database of the tests."""
    database = settings.DATABASES["default"]
    address = f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}"
    environment = {
        **os.environ,
        "DEBUG": "1",
        "ENV_FILE": "",
        "DATABASE_URL": f"{address}/{connection.settings_dict['NAME']}",
        "REDIS_URL": settings.REDIS_URL,
    }
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-c", "1"]
    process = subprocess.Popen(
        [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"],
        cwd=settings.BASE_DIR,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(query):
    wait_until(query.exists)
    return query.first()


@pytest.mark.slow
def test_a_worker_notes_what_it_ran_what_failed_and_what_was_killed(worker):
    run("x.old", at=NOON - timedelta(days=30), rows=1)
    request_run(name="forget old runs and e-mails", actor=Actor("boss@example.com"), at=NOON)
    asked = wait_for(TaskRun.objects.filter(task="outbox.tasks.forget_old"))
    assert (asked.rows, asked.outcome, asked.requested_by) == (1, "ok", "boss@example.com")
    assert asked.started_at <= asked.finished_at and asked.duration_ms is not None
    assert TaskState.objects.get(pk=asked.task).last_effect_at == asked.finished_at

    current_app.send_task("openrouter.tasks.provision", args=["nonsense"])
    failed = wait_for(TaskRun.objects.filter(task="openrouter.tasks.provision"))
    assert failed.outcome == "failed" and failed.error.startswith("ValueError: ")

    current_app.send_task("credits.tasks.expire_lots")
    idle = wait_for(TaskState.objects.filter(pk="credits.tasks.expire_lots", runs=1))
    assert idle.last_rows == 0 and not TaskRun.objects.filter(task=idle.pk).exists()

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE outbox_emaildelivery IN ACCESS EXCLUSIVE MODE")
        current_app.send_task("outbox.tasks.forget_old", time_limit=2)
        killed = wait_for(TaskRun.objects.filter(task="outbox.tasks.forget_old", outcome="failed"))
        assert TaskState.objects.get(pk=killed.task).failing_since is not None
    assert killed.error.startswith("TimeLimitExceeded") and killed.started_at is None


def fake_task(**request):
    return SimpleNamespace(name="a.sweep", request=SimpleNamespace(is_eager=False, **request))


def test_what_a_task_could_not_do_is_kept_with_what_it_did():
    task = fake_task()
    taskruns.on_start(task=task)
    note_problem("live: the provider is away")
    taskruns.on_end(task=task, retval=2, state="SUCCESS")
    kept = TaskRun.objects.get()
    assert (kept.outcome, kept.rows, kept.error) == ("troubled", 2, "live: the provider is away")
    taskruns.on_start(task=task)
    taskruns.on_end(task=task, retval=True, state="SUCCESS")
    assert TaskState.objects.get().last_rows == 1 and TaskState.objects.get().failing_since is None


def test_a_run_inside_another_process_and_a_retry_are_not_runs():
    task = fake_task()
    taskruns.on_start(task=task)
    taskruns.on_end(task=task, retval=None, state="RETRY")
    task.request.is_eager = True
    taskruns.on_end(task=task, retval=1, state="SUCCESS")
    assert not TaskState.objects.exists()


def test_only_a_lost_process_is_noted_by_the_main_one():
    taskruns.on_loss(sender=fake_task(), exception=ValueError("told by the process itself"))
    assert not TaskRun.objects.exists()
    taskruns.on_loss(sender=fake_task(), exception=TimeLimitExceeded(3))
    assert TaskRun.objects.get().error.startswith("TimeLimitExceeded")


def test_a_run_that_cannot_be_noted_breaks_nothing(monkeypatch):
    from django.db import OperationalError

    monkeypatch.setattr(taskruns, "record_run", lambda **_: (_ for _ in ()).throw(OperationalError("away")))
    task = fake_task()
    taskruns.on_start(task=task)
    taskruns.on_end(task=task, retval=1, state="SUCCESS")
