from django.db import migrations, models

import core.money


class Migration(migrations.Migration):
    dependencies = [
        ("openrouter", "0006_own_keys_in_words"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProviderBalance",
            fields=[
                ("upstream", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("bought", core.money.MoneyField()),
                ("used", core.money.MoneyField()),
                ("taken_at", models.DateTimeField()),
            ],
        ),
    ]
