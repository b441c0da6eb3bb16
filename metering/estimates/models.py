"""What was learned from recorded calls for estimates, and how often they were right. Figures only, never prompts."""

from django.db import models

from accounts.models import Organization


class TokenCalibration(models.Model):
    """How one model counts, learned from what was billed for prompts that we had counted."""

    model = models.CharField(primary_key=True, max_length=160)
    vocabulary = models.CharField(max_length=20)  # that the sums are in; another one begins anew
    sums = models.JSONField()  # of the regression, see metering.estimates.regression
    scores = models.JSONField(default=list)  # errors of the latest calls, in deviations
    calls = models.BigIntegerField(default=0)
    learned_at = models.DateTimeField()

    class Meta:
        ordering = ["-calls"]

    def __str__(self) -> str:
        return self.model


class AnswerLength(models.Model):
    """How many answers of a model were so long, for an organization or (null) for all: a histogram whose bins grow by a
    tenth. Old answers fade."""

    id = models.BigAutoField(primary_key=True)
    organization = models.ForeignKey(Organization, models.CASCADE, null=True, related_name="+", db_index=False)
    model = models.CharField(max_length=160)
    bin = models.SmallIntegerField()  # lengths above 1.1 ** (bin - 1) and up to 1.1 ** bin tokens
    weight = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "model", "bin"], name="answer_length_once", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} up to {round(1.1**self.bin)}: {self.weight:g}"


class EstimateAccuracy(models.Model):
    """How often what would have been estimated for an organization's calls of a model on a day (UTC) held."""

    id = models.BigAutoField(primary_key=True)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    model = models.CharField(max_length=160)
    day = models.DateField()
    prompts = models.BigIntegerField(default=0)  # measured
    prompts_inside = models.BigIntegerField(default=0)  # of the stated interval
    prompts_above = models.BigIntegerField(default=0)
    prompts_over = models.BigIntegerField(default=0)  # above what the hold was sized for
    error = models.FloatField(default=0.0)  # the sum of |likely - billed| / billed
    answers = models.BigIntegerField(default=0)
    answers_inside = models.BigIntegerField(default=0)  # at most what is exceeded once in twenty
    charges = models.BigIntegerField(default=0)
    charges_inside = models.BigIntegerField(default=0)  # likewise

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "model", "day"], name="estimate_accuracy_once"),
        ]
        indexes = [models.Index(fields=["day"], name="estimate_accuracy_of_all")]  # operators: everybody's last days
        verbose_name_plural = "accuracy of estimates"

    def __str__(self) -> str:
        return f"{self.model} on {self.day}"


class LearningMark(models.Model):
    """How far learning has come; the one row is locked by who learns."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    learned_until = models.DateTimeField(null=True)  # by receipt of the events
    faded_on = models.DateField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="learning_mark_is_one")]

    def __str__(self) -> str:
        return f"until {self.learned_until}"
