from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_api_key_is_an_abbreviation"),
        ("metering", "0004_first_months"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="usageday",
            index=models.Index(fields=["day"], name="usage_day_of_all"),
        ),
    ]
