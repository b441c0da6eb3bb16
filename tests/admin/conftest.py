"""A furnished back office, made once for each file that looks at it."""

import pytest
from django.contrib import admin
from django.db import transaction

from tests.admin.furniture import furnish


@pytest.fixture(scope="module")
def _one_of_everything(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), transaction.atomic():
        furnish(1)
        yield
        transaction.set_rollback(True)


@pytest.fixture
def furnished(_one_of_everything, db):
    """A row of every model. Each test changes it within a savepoint of its own."""


@pytest.fixture
def without_the_list_of_all_tables(monkeypatch):
    """It stands beside each page, is the same everywhere and takes longer than most; the home page shows it too."""
    monkeypatch.setattr(admin.site, "enable_nav_sidebar", False)
