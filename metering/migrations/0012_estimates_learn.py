"""Tables for what estimates learn from recorded calls. Nothing that exists is touched."""

import django.db.models.deletion
from django.db import migrations, models


def _key() -> models.BigAutoField:
    return models.BigAutoField(primary_key=True, serialize=False)


def _organization(**more: bool) -> models.ForeignKey:
    return models.ForeignKey(
        db_index=False,
        on_delete=django.db.models.deletion.CASCADE,
        related_name="+",
        to="accounts.organization",
        **more,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_api_key_is_an_abbreviation"),
        ("metering", "0011_usage_is_told"),
    ]

    operations = [
        migrations.CreateModel(
            name="TokenCalibration",
            fields=[
                ("model", models.CharField(max_length=160, primary_key=True, serialize=False)),
                ("vocabulary", models.CharField(max_length=20)),
                ("sums", models.JSONField()),
                ("scores", models.JSONField(default=list)),
                ("calls", models.BigIntegerField(default=0)),
                ("learned_at", models.DateTimeField()),
            ],
            options={"ordering": ["-calls"]},
        ),
        migrations.CreateModel(
            name="AnswerLength",
            fields=[
                ("id", _key()),
                ("organization", _organization(null=True)),
                ("model", models.CharField(max_length=160)),
                ("bin", models.SmallIntegerField()),
                ("weight", models.FloatField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "model", "bin"), name="answer_length_once", nulls_distinct=False
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="EstimateAccuracy",
            fields=[
                ("id", _key()),
                ("organization", _organization()),
                ("model", models.CharField(max_length=160)),
                ("day", models.DateField()),
                ("prompts", models.BigIntegerField(default=0)),
                ("prompts_inside", models.BigIntegerField(default=0)),
                ("prompts_above", models.BigIntegerField(default=0)),
                ("prompts_over", models.BigIntegerField(default=0)),
                ("error", models.FloatField(default=0.0)),
                ("answers", models.BigIntegerField(default=0)),
                ("answers_inside", models.BigIntegerField(default=0)),
                ("charges", models.BigIntegerField(default=0)),
                ("charges_inside", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name_plural": "accuracy of estimates",
                "indexes": [models.Index(fields=["day"], name="estimate_accuracy_of_all")],
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "model", "day"), name="estimate_accuracy_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="LearningMark",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("learned_until", models.DateTimeField(null=True)),
                ("faded_on", models.DateField(null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="learning_mark_is_one"),
                ],
            },
        ),
    ]
