from django.db import migrations, models


class Migration(migrations.Migration):
    """A routing rule may have another model answer, and name a longest answer. Both columns come without a rewrite."""

    dependencies = [("openrouter", "0008_routing_rules")]

    operations = [
        migrations.AddField(
            "routingrule",
            "replacement",
            models.CharField("use instead", blank=True, db_default="", default="", max_length=160),
        ),
        migrations.AddField(
            "routingrule", "max_tokens", models.PositiveIntegerField("longest answer", blank=True, null=True)
        ),
    ]
