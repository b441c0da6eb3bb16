"""Which API key an invitation is from. An empty column on a small table; nothing is rewritten."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_teams"),
    ]

    operations = [
        migrations.AddField(
            model_name="invitation",
            name="invited_by_line_id",
            field=models.UUIDField(editable=False, null=True),
        ),
    ]
