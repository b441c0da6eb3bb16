"""Celery application and the beat table."""

from celery import Celery
from celery.schedules import crontab
from celery.signals import beat_embedded_init, beat_init
from django.utils import timezone

from config.startup import begin

begin()

app = Celery("farebox")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Every task is a thin call of a service and safe to run twice. Seconds between runs.
app.conf.beat_schedule = {
    "hand on events": {"task": "outbox.tasks.dispatch", "schedule": 2},
    "send e-mails": {"task": "outbox.tasks.send_emails", "schedule": 10},
    "send webhooks": {"task": "outbox.tasks.send_webhooks", "schedule": 3, "options": {"expires": 3}},
    "tell of expiring keys": {"task": "outbox.tasks.tell_of_expiring_keys", "schedule": 3600},
    "forget old runs and e-mails": {"task": "outbox.tasks.forget_old", "schedule": crontab(hour="3", minute="40")},
    "forget old answers": {"task": "accounts.tasks.clean_idempotency_records", "schedule": 3600},
    "forget sessions that are over": {"task": "accounts.tasks.clean_sessions", "schedule": 3600},
    "expire holds": {"task": "credits.tasks.expire_holds", "schedule": 30},
    "expire lots": {"task": "credits.tasks.expire_lots", "schedule": 60},
    "tell of short and expiring credit": {"task": "credits.tasks.alert_shortages", "schedule": 300},
    "carry out files of movements": {"task": "credits.tasks.apply_batches", "schedule": 10},
    "close periods": {"task": "tiers.tasks.close_periods", "schedule": 30},
    "tell of ending trials": {"task": "tiers.tasks.tell_of_ending_trials", "schedule": 600},
    "write statements": {"task": "tiers.tasks.write_statements", "schedule": 60},
    "audit the ledger": {"task": "credits.tasks.audit_ledger", "schedule": 3600},
    "submit payments": {"task": "payments.tasks.submit_due", "schedule": 3},
    "carry out payment events": {"task": "payments.tasks.process_events", "schedule": 15},
    "top up": {"task": "payments.tasks.top_up", "schedule": 15},
    "forget old payment events": {"task": "payments.tasks.forget_old_events", "schedule": 86_400},
    "make months of events": {"task": "metering.tasks.make_partitions", "schedule": 21_600},
    "write reports": {"task": "reports.tasks.write_reports", "schedule": 60},
    "complete sums by tag": {"task": "metering.tasks.complete_tag_sums", "schedule": 60},
    "forget old windows": {"task": "metering.tasks.forget_windows", "schedule": crontab(hour="3", minute="10")},
    "audit budgets": {"task": "metering.tasks.audit_windows", "schedule": crontab(hour="1", minute="50")},
    "audit the usage sums": {"task": "metering.tasks.audit_usage", "schedule": crontab(hour="1", minute="30")},
    "learn from calls for estimates": {"task": "metering.tasks.learn_estimates", "schedule": 30},
    "let old answers count less": {"task": "metering.tasks.fade_estimates", "schedule": crontab(hour="2", minute="50")},
    "renew customers’ subscriptions": {"task": "billing.tasks.renew", "schedule": 2},
    "charge customers": {"task": "billing.tasks.charge", "schedule": 3},
    "tell of customers’ states": {"task": "billing.tasks.tell", "schedule": 1},
    "expire checkouts": {"task": "billing.tasks.expire", "schedule": 60},
    "audit meter credit": {"task": "billing.tasks.audit", "schedule": crontab(hour="2", minute="10")},
    "tell the provider": {"task": "openrouter.tasks.provision_due", "schedule": 20},
    "delete retired provider keys": {"task": "openrouter.tasks.delete_retired_keys", "schedule": 60},
    "follow provider limits": {"task": "openrouter.tasks.follow_limits", "schedule": 60},
    "recover calls": {"task": "openrouter.tasks.recover_calls", "schedule": 15},
    "sync provider usage": {"task": "openrouter.tasks.sync_usage", "schedule": 900},
    "sync the provider’s balance": {"task": "openrouter.tasks.sync_balance", "schedule": 300},
    "sync models": {"task": "openrouter.tasks.sync_models", "schedule": 3600},
    "reconcile keys and account": {"task": "openrouter.tasks.reconcile_now", "schedule": 3600},
    # The provider publishes a day's activity some time after its end (UTC).
    "reconcile yesterday": {"task": "openrouter.tasks.reconcile_yesterday", "schedule": crontab(hour="4", minute="15")},
    "verify customers' own keys": {"task": "openrouter.tasks.verify_own_keys", "schedule": 86_400},
    "work off what-ifs": {"task": "advice.tasks.work_off_what_ifs", "schedule": 5, "options": {"expires": 5}},
    "charge anew": {"task": "metering.tasks.rerate", "schedule": 10},
    "write advice": {"task": "advice.tasks.write_advice", "schedule": 5, "options": {"expires": 5}},
    "look for savings": {"task": "advice.tasks.review_usage", "schedule": 300},
    "forget old what-ifs": {"task": "advice.tasks.forget_what_ifs", "schedule": crontab(hour="3", minute="50")},
}


@beat_init.connect
@beat_embedded_init.connect
def _expect_runs(**_: object) -> None:
    """From now on a job that does not run is overdue."""
    from outbox.taskruns import announce_jobs

    announce_jobs(tasks=[entry["task"] for entry in app.conf.beat_schedule.values()], at=timezone.now())


@beat_init.connect
@beat_embedded_init.connect
def _begin_with_todays_prices(**_: object) -> None:
    """An interval is waited for before its first run; prices must not be an hour old when the first call comes."""
    app.send_task("openrouter.tasks.sync_models")
