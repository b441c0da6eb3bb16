"""JSON shapes of reports."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.serializers import IdField, StrictSerializer
from reports.models import Cadence, Format, Report, ReportSubscription


class ReportRecipientSerializer(serializers.Serializer):
    """A member who gets a report."""

    member_id = serializers.UUIDField(source="membership_id")
    email = serializers.EmailField(source="membership.user.email")
    unsubscribed_at = serializers.DateTimeField(allow_null=True, help_text="When they asked for no more of it.")


class ReportSubscriptionSerializer(serializers.Serializer):
    """A report that is sent every week or month."""

    id = serializers.UUIDField()
    subject = serializers.CharField(help_text="The organization, or the team or department.")
    team_id = serializers.UUIDField(allow_null=True, help_text="Null: of the whole organization.")
    cadence = serializers.ChoiceField(choices=Cadence.choices)
    format = serializers.ChoiceField(choices=Format.choices)
    next_day = serializers.DateField(help_text="The first day of the period that is reported next.")
    next_at = serializers.DateTimeField(help_text="When: at seven in the morning of the organization's zone.")
    refused_at = serializers.DateTimeField(
        allow_null=True, help_text="When it was due and the tier did not include it."
    )
    recipients = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    @extend_schema_field(ReportRecipientSerializer(many=True))
    def get_recipients(self, wanted: ReportSubscription) -> Any:
        """Everybody on the list."""
        return ReportRecipientSerializer(wanted.recipients.all(), many=True).data


class ReportRequestSerializer(StrictSerializer):
    """A report to send."""

    cadence = serializers.ChoiceField(choices=Cadence.choices)
    format = serializers.ChoiceField(choices=Format.choices, default=Format.PDF)
    team_id = IdField(required=False, allow_null=True)
    member_ids = serializers.ListField(child=IdField(), allow_empty=False, max_length=200)


class ReportRecipientsSerializer(StrictSerializer):
    """Who is to get it."""

    member_ids = serializers.ListField(child=IdField(), allow_empty=False, max_length=200)


class ReportSerializer(serializers.Serializer):
    """A report that was written."""

    id = serializers.UUIDField()
    subscription_id = serializers.UUIDField(allow_null=True, help_text="Null: cancelled since.")
    subject = serializers.CharField()
    team_id = serializers.UUIDField(allow_null=True)
    cadence = serializers.ChoiceField(choices=Cadence.choices)
    format = serializers.ChoiceField(choices=Format.choices)
    first_day = serializers.DateField()
    last_day = serializers.DateField()
    time_zone = serializers.CharField()
    recipients = serializers.IntegerField(help_text="How many it was written to.")
    created_at = serializers.DateTimeField()


class ReportDetailSerializer(ReportSerializer):
    """The same with its figures."""

    figures = serializers.SerializerMethodField(
        help_text="Sums of the days: total, previous, by_day and breakdowns, as they were when it was written."
    )

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_figures(self, report: Report) -> Any:
        """As they were stored."""
        return report.figures
