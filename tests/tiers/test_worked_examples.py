"""What docs/tiers.md works out is what the code computes."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client

from core.money import to_wire
from tests.tiers.plans import START, THIRD, put_on
from tiers.catalogue import MANAGED_CREDITS, PROMPT_LAB, load_catalogue
from tiers.services import preview_switch

pytestmark = pytest.mark.django_db
GUIDE = (Path(__file__).parents[2] / "docs" / "tiers.md").read_text(encoding="utf-8")


def preview(at):
    organization = put_on("starter")
    return preview_switch(organization_id=organization.id, tier_slug="enterprise", at=at)


def test_the_worked_switch():
    load_catalogue(name=MANAGED_CREDITS, at=START)
    found = preview(THIRD)
    assert [(line.description, f"{line.amount:.2f}") for line in found.lines] == [
        ("Rest of the period on Enterprise", "66.00"),
        ("Unused time on Starter", "-20.00"),
    ]
    for line in found.lines:
        assert f"| {line.description} | " in GUIDE
    assert f"**${found.amount:.2f}**" == "**$46.00**" and "**$46.00**" in GUIDE
    assert to_wire(found.credit) == "46.666666666667" and f"**${to_wire(found.credit)}**" in GUIDE
    assert f"**${preview(START + timedelta(days=20, seconds=1)).amount:.2f}**" == "**$23.00**"
    assert "**$23.00**" in GUIDE


def test_the_matrix_of_the_lab_is_the_one_that_is_served():
    load_catalogue(name=PROMPT_LAB, at=START)
    rows = Client().get("/api/v1/tiers/compare?catalogue=prompt-lab").json()["matrix"]
    left_out = {"budget_scopes", "teams"}
    for row in rows:
        if row["key"] not in left_out:
            assert f"| {row['name']} | {' | '.join(cell['text'] for cell in row['cells'])} |" in GUIDE
