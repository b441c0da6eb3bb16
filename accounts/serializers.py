"""JSON shapes of the accounts API."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from accounts.models import Invitation, Mode, Role
from accounts.scopes import Scope
from accounts.services.invitations import stands
from accounts.services.keys import LONGEST_OVERLAP
from core.serializers import AmountField, IdField, StrictSerializer


class OrganizationSerializer(serializers.Serializer):
    """The organization that the key or session acts for."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    mode = serializers.ChoiceField(choices=Mode.choices)
    time_zone = serializers.CharField(help_text="IANA name; where its days and months begin.")
    created_at = serializers.DateTimeField()


class OrganizationChangeSerializer(StrictSerializer):
    """What may be changed."""

    name = serializers.CharField(required=False, max_length=120)
    time_zone = serializers.CharField(required=False, max_length=64)


class PersonSerializer(serializers.Serializer):
    """A person, as colleagues see them."""

    email = serializers.EmailField()
    name = serializers.CharField()


class MemberSerializer(serializers.Serializer):
    """A person's place in the organization."""

    id = serializers.UUIDField()
    user = PersonSerializer()
    role = serializers.ChoiceField(choices=Role.choices)
    team_id = serializers.UUIDField(allow_null=True, help_text="What their calls count for.")
    created_at = serializers.DateTimeField()


class MemberChangeSerializer(StrictSerializer):
    """What may be changed: one or both."""

    role = serializers.ChoiceField(choices=Role.choices, required=False)
    team_id = IdField(required=False, allow_null=True, help_text="Null: in no team.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Nothing to change is a mistake."""
        if not attrs:
            raise serializers.ValidationError({"role": "Give a role or a team."}, code="required")
        return attrs


class TeamSerializer(serializers.Serializer):
    """Members and keys whose usage is summed together."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField(help_text="Its first name in small letters; stays.")
    department_id = serializers.UUIDField(allow_null=True, help_text="The team that it stands in.")
    member_count = serializers.IntegerField()
    key_count = serializers.IntegerField(help_text="Keys that work, of the organization and its test twin.")
    created_at = serializers.DateTimeField()


class TeamRequestSerializer(StrictSerializer):
    """A team to make, or what is to change of one."""

    name = serializers.CharField(max_length=80)
    department_id = IdField(required=False, allow_null=True, help_text="A team that stands in no other itself.")


class InvitationSerializer(serializers.Serializer):
    """Somebody who may join. The link is in the e-mail alone."""

    id = serializers.UUIDField()
    email = serializers.EmailField()
    role = serializers.ChoiceField(choices=Role.choices)
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(help_text="When the latest e-mail was written.")
    expires_at = serializers.DateTimeField()
    is_open = serializers.SerializerMethodField(
        help_text="Whether it can be accepted: in time, and by the word of somebody who may still invite."
    )

    def get_is_open(self, invitation: Invitation) -> bool:
        """The same as when somebody follows the link."""
        return stands(invitation, timezone.now())


class InvitationRequestSerializer(StrictSerializer):
    """Whom to invite, and as what."""

    email = serializers.EmailField()
    role = serializers.ChoiceField(choices=Role.choices)


class ApiKeySerializer(serializers.Serializer):
    """An API key, without its secret."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    mode = serializers.ChoiceField(choices=Mode.choices, source="organization.mode")
    prefix = serializers.CharField(help_text="The first characters of the secret.")
    last_four = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices))
    member_id = serializers.UUIDField(allow_null=True, help_text="Who its calls are attributed to.")
    team_id = serializers.UUIDField(allow_null=True, help_text="What its calls count for; null: the member's team.")
    allowed_models = serializers.ListField(child=serializers.CharField(), help_text="Empty: all of the tier's.")
    allowed_networks = serializers.ListField(child=serializers.CharField(), help_text="Empty: from anywhere.")
    requests_per_minute = serializers.IntegerField(allow_null=True, help_text="Null: the tier's.")
    tokens_per_minute = serializers.IntegerField(allow_null=True, help_text="Null: the tier's.")
    spend_limit = AmountField(allow_null=True, help_text="USD over its life and its successors'; null: none.")
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True, help_text="In the future while a rotation overlaps.")
    replaced_by_id = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To the minute.")


class NewApiKeySerializer(ApiKeySerializer):
    """A key just made: the only time that its secret is told."""

    secret = serializers.CharField(help_text="Shown once; keep it safe.")


_LARGEST_LIMIT = 2_147_483_647


class KeyTermsSerializer(StrictSerializer):
    """What a key is called and may do."""

    name = serializers.CharField(max_length=80)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices), allow_empty=False)
    allowed_models = serializers.ListField(child=serializers.CharField(max_length=120), required=False, max_length=200)
    allowed_networks = serializers.ListField(child=serializers.CharField(max_length=49), required=False, max_length=200)
    requests_per_minute = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=_LARGEST_LIMIT
    )
    tokens_per_minute = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=_LARGEST_LIMIT)
    spend_limit = AmountField(required=False, allow_null=True, allow_zero=True)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    member_id = IdField(required=False, allow_null=True)
    team_id = IdField(required=False, allow_null=True)


class ApiKeyRequestSerializer(KeyTermsSerializer):
    """A key to make."""

    mode = serializers.ChoiceField(
        choices=Mode.choices, required=False, help_text="Default: the caller's own. A test key makes only test keys."
    )


class RotationSerializer(StrictSerializer):
    """How a key is replaced."""

    overlap_seconds = serializers.IntegerField(
        default=int(timedelta(days=1).total_seconds()),
        min_value=0,
        max_value=int(LONGEST_OVERLAP.total_seconds()),
        help_text="How long the old key goes on working.",
    )
