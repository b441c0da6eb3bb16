"""Who pays, who belongs, and the keys that services use."""

from datetime import datetime
from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, PermissionsMixin
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeBoundary, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.managers import UserManager
from accounts.querysets import ApiKeyQuerySet, InvitationQuerySet, OrganizationQuerySet, TeamQuerySet
from core.ids import uuid7
from core.money import MoneyField


class User(AbstractBaseUser, PermissionsMixin):
    """A person; logs in with an e-mail address."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=150, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False, help_text="May enter the admin.")
    date_joined = models.DateTimeField(default=timezone.now)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_once_in_any_case")]

    def __str__(self) -> str:
        return self.email


class Mode(models.TextChoices):
    """Whose money moves: real books, or the sandbox twin's."""

    LIVE = "live"
    TEST = "test"


class Organization(models.Model):
    """Pays and owns credits. Every live organization has one test twin with books of its own."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=120)
    mode = models.CharField(max_length=4, choices=Mode, default=Mode.LIVE, editable=False)
    live_organization = models.OneToOneField(
        "self", models.CASCADE, null=True, blank=True, related_name="test_twin", editable=False
    )
    time_zone = models.CharField(max_length=64, default="UTC", help_text="Day and month boundaries of its pages.")
    is_suspended = models.BooleanField(default=False, help_text="All its keys are refused.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="organizations")

    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(mode="live", live_organization__isnull=True)
                | Q(mode="test", live_organization__isnull=False),
                name="organization_twin_is_test",
            ),
        ]
        indexes = [models.Index(fields=["name"], name="organization_name")]

    def __str__(self) -> str:
        return self.name if self.mode == Mode.LIVE else f"{self.name} (test)"

    @property
    def is_test(self) -> bool:
        """Whether this is a sandbox twin."""
        return self.mode == Mode.TEST


class Role(models.TextChoices):
    """What a member may do; each role may do all that the ones after it may, but billing and admin differ."""

    OWNER = "owner"
    ADMIN = "admin"
    BILLING = "billing"
    MEMBER = "member"
    VIEWER = "viewer"


class Team(models.Model):
    """Members and keys of a live organization whose usage is summed together; it may stand in a department.

    A department is a team that other teams stand in, and stands in none itself. A team is never deleted, for what was
    used under its name stays on record: it is put away.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="teams")
    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=90, editable=False, db_index=False)  # of its first name; stays
    department = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="teams")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = TeamQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "slug"], name="team_slug_once"),
            models.UniqueConstraint(
                "organization", Lower("name"), condition=Q(archived_at__isnull=True), name="team_name_once"
            ),
            models.CheckConstraint(
                condition=Q(department__isnull=True) | ~Q(department=F("id")), name="team_not_its_own_department"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's place in an organization."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="memberships")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}"


class Impersonation(models.Model):
    """An operator looks at an organization's pages as one of its members sees them, for a reason and for a while."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    operator = models.ForeignKey(User, models.PROTECT, related_name="+")
    person = models.ForeignKey(User, models.PROTECT, related_name="+")
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    reason = models.CharField(max_length=300)
    started_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        permissions = [("impersonate", "Can look at an organization's pages as one of its members")]
        constraints = [
            models.UniqueConstraint(
                fields=["operator"], condition=Q(ended_at__isnull=True), name="impersonation_one_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("started_at")) & (Q(ended_at=None) | Q(ended_at__gte=F("started_at"))),
                name="impersonation_ends_later",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="impersonation_has_a_reason"),
        ]
        indexes = [models.Index(fields=["-started_at"], name="impersonation_latest")]

    def __str__(self) -> str:
        return f"{self.operator} as {self.person} of {self.organization}"


class Invitation(models.Model):
    """An e-mail address may join a live organization with a role, once, until it expires or is taken back.

    Only the SHA-256 of its token is stored; the token is in the e-mail alone. Sending it again makes another.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="invitations")
    email = models.EmailField()  # in lower case
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    invited_by_line_id = models.UUIDField(null=True, editable=False)  # of the API key, kept through its rotations
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField()
    times_sent = models.PositiveSmallIntegerField(default=1)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "email"],
                condition=Q(accepted_at__isnull=True, revoked_at__isnull=True),
                name="invitation_open_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.organization}"

    def is_open(self, at: datetime) -> bool:
        """Whether it can be accepted at ``at``."""
        return self.accepted_at is None and self.revoked_at is None and self.expires_at > at


class ApiKey(models.Model):
    """A secret that a service presents.

    Only its SHA-256 is stored: the secret has 256 random bits, so no salt is needed.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="api_keys")
    member = models.ForeignKey(Membership, models.CASCADE, null=True, blank=True, related_name="api_keys")
    team = models.ForeignKey(
        Team,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="api_keys",
        help_text="Whose usage its calls count as; empty: the member's team.",
    )
    name = models.CharField(max_length=80)
    prefix = models.CharField(
        max_length=20, editable=False, help_text="The first characters, shown to tell keys apart."
    )
    last_four = models.CharField(max_length=4, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=40))
    allowed_models = ArrayField(models.CharField(max_length=120), default=list, blank=True)  # empty: all
    allowed_networks = ArrayField(models.CharField(max_length=49), default=list, blank=True)  # CIDR; empty: all
    requests_per_minute = models.PositiveIntegerField(null=True, blank=True)  # null: the tier's
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True)
    spend_limit = MoneyField(
        null=True, blank=True, help_text="USD over the key's life; empty means no limit of its own."
    )
    # The counter that the limit is reserved against: the key's own id, or its predecessor's counter after a
    # rotation.
    spend_limit_id = models.UUIDField(default=uuid7, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    replaced_by = models.OneToOneField("self", models.SET_NULL, null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=Q(spend_limit__isnull=True) | Q(spend_limit__gte=0),
                name="api_key_spend_limit_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…{self.last_four})"

    def is_active(self, at: datetime) -> bool:
        """Whether it works at ``at``, its organization's suspension aside."""
        return all(end is None or end > at for end in (self.revoked_at, self.expires_at))


class _Stay(Func):
    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class TeamPlacement(models.Model):
    """Which team a member (the id of the membership) or a key was in from one instant to another.

    Usage counts for the team that its key, else its member, was in when it happened, also when it is reported later.
    Rows outlive members who leave. Written beside ``Membership.team`` and ``ApiKey.team``, which say it of now.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    team = models.ForeignKey(Team, models.CASCADE, related_name="placements")
    subject_id = models.UUIDField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            ExclusionConstraint(
                name="placement_in_one_team_at_a_time",
                expressions=[
                    (_Stay("starts_at", "ends_at", RangeBoundary()), RangeOperators.OVERLAPS),
                    ("subject_id", RangeOperators.EQUAL),
                ],
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gte=F("starts_at")), name="placement_ends_later"
            ),
        ]
        # whose team a call counts for: asked with every event of organizations that have teams
        indexes = [models.Index(fields=["subject_id", "starts_at"], name="placement_of_subject")]

    def __str__(self) -> str:
        return f"{self.subject_id} in {self.team_id} from {self.starts_at:%Y-%m-%d %H:%M}"


class IdempotencyRecord(models.Model):
    """The stored answer to a POST that carried an ``Idempotency-Key``; replayed to the same request."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    route = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField(null=True)  # null while the first request runs
    body = models.BinaryField(null=True)
    content_type = models.CharField(max_length=80, blank=True)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "key"], name="idempotency_key_once"),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_age")]  # the clean-up task

    def __str__(self) -> str:
        return self.key
