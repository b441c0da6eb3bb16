"""Manager of people."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth.base_user import BaseUserManager

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.models import User


class UserManager(BaseUserManager["User"]):
    """Creates people by e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A person with a hashed password (unusable without one)."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """An operator with every permission."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def impersonable(self) -> "QuerySet[User]":
        """Those whom an operator may look as: who may sign in, and are no operators."""
        return self.filter(is_active=True, is_staff=False, is_superuser=False)

    def get_by_natural_key(self, username: str | None) -> "User":
        """By e-mail address in any case."""
        return self.get(email__iexact=username)
