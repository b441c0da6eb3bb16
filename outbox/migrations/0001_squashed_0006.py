import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import core.ids
import core.secretfields


class Migration(migrations.Migration):
    """Facts, letters and webhooks at once in an empty database, as the migrations that it replaces make them change by change.

    A database in which some of those were applied goes on with them.
    """

    replaces = [
        ("outbox", "0001_domain_events"),
        ("outbox", "0002_retries_per_handler"),
        ("outbox", "0003_jobs_and_emails"),
        ("outbox", "0004_webhooks"),
        ("outbox", "0005_notices"),
        ("outbox", "0006_files_of_emails"),
    ]

    initial = True

    dependencies = [
        ("accounts", "__first__"),
    ]

    operations = [
        migrations.CreateModel(
            name="DomainEvent",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("type", models.CharField(max_length=60)),
                ("data", models.JSONField(default=dict)),
                ("actor_label", models.CharField(blank=True, max_length=120)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("dispatched_at", models.DateTimeField(null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("last_error", models.CharField(blank=True, max_length=300)),
                (
                    "actor",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="domain_events",
                        to="accounts.organization",
                    ),
                ),
                ("retry_at", models.DateTimeField(null=True)),
                (
                    "handled_by",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=120), null=True, size=None
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["organization", "-created_at"], name="domain_event_timeline"),
                    models.Index(
                        condition=models.Q(("dispatched_at__isnull", True)),
                        fields=["created_at"],
                        name="domain_event_waiting",
                    ),
                ],
                "permissions": [("retry", "Can try again what failed: jobs, events, e-mails, webhooks, syncs")],
            },
        ),
        migrations.CreateModel(
            name="TaskState",
            fields=[
                ("name", models.CharField(max_length=120, primary_key=True, serialize=False)),
                ("announced_at", models.DateTimeField()),
                ("last_started_at", models.DateTimeField(null=True)),
                ("last_finished_at", models.DateTimeField(null=True)),
                ("last_duration_ms", models.PositiveIntegerField(null=True)),
                ("last_rows", models.BigIntegerField(null=True)),
                (
                    "last_outcome",
                    models.CharField(
                        blank=True, choices=[("ok", "Ok"), ("troubled", "Troubled"), ("failed", "Failed")], max_length=8
                    ),
                ),
                ("last_effect_at", models.DateTimeField(null=True)),
                ("last_error", models.CharField(blank=True, max_length=300)),
                ("last_error_at", models.DateTimeField(null=True)),
                ("failing_since", models.DateTimeField(null=True)),
                ("runs", models.BigIntegerField(default=0)),
                ("requested_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "job",
            },
        ),
        migrations.CreateModel(
            name="TaskRun",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("task", models.CharField(max_length=120)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField()),
                ("duration_ms", models.PositiveIntegerField(null=True)),
                ("rows", models.BigIntegerField(null=True)),
                (
                    "outcome",
                    models.CharField(
                        choices=[("ok", "Ok"), ("troubled", "Troubled"), ("failed", "Failed")], max_length=8
                    ),
                ),
                ("error", models.CharField(blank=True, max_length=2000)),
                ("requested_by", models.CharField(blank=True, max_length=120)),
            ],
            options={
                "verbose_name": "job run",
                "indexes": [
                    models.Index(fields=["task", "-finished_at"], name="task_run_of_task"),
                    models.Index(fields=["-finished_at"], name="task_run_by_time"),
                ],
            },
        ),
        migrations.CreateModel(
            name="EmailDelivery",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("key", models.CharField(max_length=160, unique=True)),
                ("recipient", models.EmailField(max_length=254)),
                ("subject", models.CharField(max_length=200)),
                ("body", models.TextField()),
                (
                    "status",
                    models.CharField(
                        choices=[("waiting", "Waiting"), ("sent", "Sent"), ("failed", "Failed")],
                        default="waiting",
                        max_length=7,
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("retry_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("sent_at", models.DateTimeField(null=True)),
                ("last_error", models.CharField(blank=True, max_length=300)),
                (
                    "organization",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
                ("headers", models.JSONField(null=True)),
                ("attachment", models.CharField(max_length=120, null=True)),
            ],
            options={
                "verbose_name": "e-mail",
                "verbose_name_plural": "e-mails",
                "indexes": [
                    models.Index(
                        condition=models.Q(("status", "waiting")), fields=["created_at"], name="email_waiting"
                    ),
                    models.Index(fields=["organization", "-created_at"], name="email_of_organization"),
                    models.Index(fields=["-created_at"], name="email_by_time"),
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("url", models.CharField(max_length=2048)),
                ("name", models.CharField(blank=True, max_length=80)),
                (
                    "events",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=60), size=None),
                ),
                ("secret", core.secretfields.SecretTextField()),
                ("previous_secret", core.secretfields.SecretTextField(blank=True)),
                ("previous_ends_at", models.DateTimeField(null=True)),
                ("format", models.CharField(default="raw", max_length=10)),
                ("enabled", models.BooleanField(default=True)),
                (
                    "off_reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("switched_off", "switched off"),
                            ("failing", "failed too often"),
                            ("gone", "answered 410 Gone"),
                        ],
                        max_length=12,
                    ),
                ),
                ("off_since", models.DateTimeField(null=True)),
                ("failures", models.PositiveIntegerField(default=0)),
                ("lane", models.UUIDField(null=True)),
                ("lane_until", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("modified_at", models.DateTimeField(null=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="webhook_endpoints",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "verbose_name": "webhook endpoint",
                "indexes": [models.Index(fields=["organization", "-created_at"], name="webhook_endpoint_of")],
            },
        ),
        migrations.CreateModel(
            name="WebhookEvent",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("type", models.CharField(max_length=60)),
                ("payload", models.TextField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.organization"
                    ),
                ),
            ],
            options={
                "verbose_name": "webhook event",
                "indexes": [
                    models.Index(fields=["organization", "-created_at"], name="webhook_event_of"),
                    models.Index(fields=["created_at"], name="webhook_event_by_time"),
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookMessage",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                            ("missed", "Missed"),
                        ],
                        default="waiting",
                        max_length=9,
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("due_at", models.DateTimeField()),
                ("lease", models.UUIDField(null=True)),
                ("last_code", models.PositiveSmallIntegerField(null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "endpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="messages",
                        to="outbox.webhookendpoint",
                    ),
                ),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="messages", to="outbox.webhookevent"
                    ),
                ),
            ],
            options={
                "verbose_name": "webhook message",
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "waiting")),
                        fields=["endpoint", "due_at"],
                        name="webhook_message_waiting",
                    ),
                    models.Index(fields=["endpoint", "-created_at"], name="webhook_message_of_endpoint"),
                ],
                "constraints": [models.UniqueConstraint(fields=("event", "endpoint"), name="webhook_message_once")],
            },
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("number", models.PositiveSmallIntegerField()),
                ("succeeded", models.BooleanField()),
                ("http_code", models.PositiveSmallIntegerField(null=True)),
                ("response", models.CharField(blank=True, max_length=1000)),
                ("problem", models.CharField(blank=True, max_length=200)),
                ("duration_ms", models.PositiveIntegerField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "endpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="outbox.webhookendpoint",
                    ),
                ),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="deliveries", to="outbox.webhookevent"
                    ),
                ),
                (
                    "message",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="outbox.webhookmessage",
                    ),
                ),
            ],
            options={
                "verbose_name": "webhook delivery",
                "verbose_name_plural": "webhook deliveries",
                "indexes": [models.Index(fields=["endpoint", "-created_at"], name="webhook_delivery_of_endpoint")],
            },
        ),
        migrations.CreateModel(
            name="Notice",
            fields=[
                ("id", models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("event_id", models.UUIDField(unique=True)),
                ("type", models.CharField(max_length=60)),
                ("data", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                (
                    "organization",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="notices",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
                "indexes": [models.Index(fields=["organization", "-created_at", "-id"], name="notice_newest")],
            },
        ),
        migrations.CreateModel(
            name="NoticeChoice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=40)),
                ("by_email", models.BooleanField()),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("user", "kind"), name="notice_choice_once")],
            },
        ),
        migrations.CreateModel(
            name="NoticeReader",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("seen_at", models.DateTimeField()),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.organization"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("user", "organization"), name="notice_reader_once")],
            },
        ),
    ]
