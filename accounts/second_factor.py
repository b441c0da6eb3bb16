"""Second factors: how their secrets are kept, and which operators must have one."""

from datetime import datetime

from allauth.account.authentication import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from accounts.models import User
from accounts.principal import Actor
from accounts.services.organizations import tell
from core.secretfields import decrypt_secret, encrypt_secret

# Where in ``Authenticator.data`` secrets are: of a TOTP app, and of recovery codes. They are rotated with all others.
SECRET_MEMBERS = ("secret", "seed")


class SecondFactorAdapter(DefaultMFAAdapter):
    """Keeps secrets encrypted with the ring of keys that every stored secret has."""

    def encrypt(self, text: str) -> str:
        """As it is stored."""
        return encrypt_secret(text)

    def decrypt(self, encrypted_text: str) -> str:
        """The secret itself. Raises UndecryptableSecret."""
        return str(decrypt_secret(encrypted_text))


def way_to_second_factor(request: HttpRequest) -> str | None:
    """Where an operator must go before the back office opens; None when nothing is missing.

    Somebody without a second factor sets one up; somebody who has not shown it in this session shows it.
    """
    if not settings.OPERATORS_NEED_SECOND_FACTOR or not request.user.is_authenticated:
        return None
    if any(record.get("method") == "mfa" for record in get_authentication_records(request, request.user)):
        return None
    kinds = set(Authenticator.objects.filter(user_id=request.user.pk).values_list("type", flat=True))
    if not kinds:
        return reverse("mfa_index")
    has_codes = bool(kinds - {Authenticator.Type.WEBAUTHN})
    show = reverse("mfa_reauthenticate" if has_codes else "mfa_reauthenticate_webauthn")
    return f"{show}?{urlencode({'next': request.get_full_path()})}"


@transaction.atomic
def remove_second_factors(*, user: User, reason: str, actor: Actor, at: datetime) -> int:
    """Let a person who has lost theirs sign in with the password alone; how many were removed. For operators."""
    removed, _ = Authenticator.objects.filter(user=user).delete()
    if removed:
        facts = {"email": user.email, "reason": reason}
        for membership in user.memberships.all():
            tell(membership.organization_id, "member.second_factor_removed", facts, actor, at)
    return removed
