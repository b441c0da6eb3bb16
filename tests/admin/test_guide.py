"""What docs/admin-guide.md says is so: its sums, its file, its commands, its links and pictures, who may do what."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.core.management import get_commands

from config.figures import figures_at
from config.roles import BILLING, SUPPORT
from credits.batch_file import MOST_ROWS, read_lines
from credits.services import deduct_credits, grant_credits, refund_charge
from openrouter.models import ProviderBalance
from tests.builders import make_call, make_organization, usd

pytestmark = pytest.mark.django_db

GUIDE = Path(__file__).parents[2] / "docs/admin-guide.md"
TEXT = GUIDE.read_text(encoding="utf-8")
AT = datetime(2026, 3, 31, 15, tzinfo=UTC)
DAY = timedelta(days=1)


def test_its_example_of_the_front_page_adds_up(settings):
    assert "1.65 was charged for usage that cost 1.50, 0.25 was deducted and 0.10 refunded" in TEXT
    assert "1.65 + 0.25 − 0.10 = 1.80, the margin 1.80 − 1.50 = 0.30, that is 16.7 %" in TEXT
    settings.OPENROUTER_BASE_URL, settings.OPENROUTER_MANAGEMENT_KEY = "https://openrouter.ai/api/v1", "m"
    organization = make_organization()
    money = {"organization_id": organization.id, "reason": "x", "actor": "x"}
    grant_credits(**money, amount=usd("100"), kind="bonus", at=AT - 9 * DAY)
    charged = make_call(organization, "1.50", "10", occurred_at=AT)
    deduct_credits(**money, amount=usd("0.25"), at=AT)
    refund_charge(**money, entry_id=charged.entry_id, amount=usd("0.10"), at=AT)
    business = figures_at(AT).business
    assert (business.revenue, business.margin) == (Decimal("1.80"), Decimal("0.30"))
    assert business.margin_percent == Decimal("16.7")


def test_its_example_of_the_provider_lasts_five_days(settings):
    assert (
        "With 45 left at the provider and 63 used in the last seven whole\ndays, 9 a day, the provider lasts five days"
        in TEXT
    )
    settings.OPENROUTER_BASE_URL, settings.OPENROUTER_MANAGEMENT_KEY = "https://openrouter.ai/api/v1", "m"
    settings.OPENROUTER_SANDBOX_URL = settings.OPENROUTER_SANDBOX_MANAGEMENT_KEY = ""
    organization = make_organization()
    grant_credits(
        organization_id=organization.id, amount=usd("100"), kind="bonus", reason="x", actor="x", at=AT - 9 * DAY
    )
    make_call(organization, "63", "10", occurred_at=AT - 3 * DAY)
    ProviderBalance.objects.create(upstream="live", bought=usd("145"), used=usd("100"), taken_at=AT)
    [only] = figures_at(AT).floats
    assert (only.a_day, only.lasts) == (Decimal(9), timedelta(days=5))


def test_its_file_of_movements_can_be_read():
    content = re.search(r"```csv\n(.*?)```", TEXT, re.DOTALL).group(1)
    make_organization(name="Analytical Engines")
    lines = read_lines(content.encode(), AT)
    assert [(line.action, line.errors) for line in lines if line.cells["organization"] == "Analytical Engines"] == [
        ("grant", []),
        ("adjust", []),
        ("refund", []),
    ]
    assert f"at most {MOST_ROWS:,} lines" in TEXT


def test_its_commands_exist():
    named = set(re.findall(r"manage\.py (\w+)", TEXT))
    assert {"migrate", "load_price_seed", "load_catalogue", "sync_models", "createsuperuser"} <= named
    assert named <= set(get_commands())


def test_its_links_and_pictures_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (GUIDE.parent / target).exists(), target


def test_the_groups_it_names_are_those_that_exist():
    assert {SUPPORT, BILLING} == set(Group.objects.values_list("name", flat=True))
    assert "| support | billing | superuser |" in TEXT


def test_no_document_sends_anybody_to_a_guide_that_is_not_there():
    root = GUIDE.parents[1]
    documents = [root / "README.md", root / "CHANGELOG.md", *GUIDE.parent.rglob("*.md")]
    assert not [path for path in documents if "docs/admin.md" in path.read_text(encoding="utf-8")]
