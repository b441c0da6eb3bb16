from django.db import migrations, models

_STATUSES = [
    ("trying", "Trying"),
    ("tried", "Tried"),
    ("applying", "Applying"),
    ("applied", "Applied"),
    ("reversing", "Reversing"),
    ("reversed", "Reversed"),
]


class Migration(migrations.Migration):
    """How far the trial of a re-rating is, so that a worker can make it. Columns with defaults alone."""

    dependencies = [("metering", "0018_budgets_count_meters")]

    operations = [
        migrations.AddField("rerating", "to_examine", models.BigIntegerField(default=0)),
        migrations.AddField("rerating", "examined", models.BigIntegerField(default=0)),
        migrations.AddField("rerating", "tried_to", models.UUIDField(null=True)),
        migrations.AlterField(
            "rerating", "status", models.CharField(choices=_STATUSES, default="trying", max_length=9)
        ),
    ]
