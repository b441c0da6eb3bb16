from django.db import migrations, models


class Migration(migrations.Migration):
    """Which pauses of automatic top-ups another card does not lift. A constant default: no row is rewritten."""

    dependencies = [("payments", "0004_disputes")]

    operations = [
        migrations.AddField(
            model_name="autotopup",
            name="paused_by_dispute",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
