"""The price book keeps its history: a change closes a row and opens the next, on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from threading import Barrier

import pytest
from django.db import IntegrityError, connection, transaction

from core.errors import InvalidRequest, NotFound
from metering.errors import InvalidPrice
from metering.models import LanguageModel, ModelPrice
from metering.price_book import (
    card_for,
    listed_models,
)
from metering.price_seed import BEGINNING, read_seed
from metering.services.price_book import OPERATOR, follow_provider, load_price_seed, set_price
from outbox.models import DomainEvent
from tests.metering.listing import DAY, HOUR, PLAIN, name_of, record, rows, sync

pytestmark = pytest.mark.django_db


# ------------------------------------------------------------------ syncing


def test_the_first_sync_adds_models_with_their_prices():
    report = sync(
        record(
            "vendor/one",
            canonical_slug="vendor/one-20260115",
            context_length=128000,
            architecture={"input_modalities": ["text", "image"], "output_modalities": ["text"], "tokenizer": "Other"},
            top_provider={"context_length": 131072, "max_completion_tokens": 16384},
            supported_parameters=["tools"],
            hugging_face_id=None,
        )
    )
    assert report.added == ["vendor/one"]
    model = LanguageModel.objects.get(id="vendor/one")
    assert (model.name, model.canonical_slug, model.source) == ("Vendor/One", "vendor/one-20260115", "openrouter")
    assert (model.context_length, model.max_completion_tokens) == (131072, 16384)
    assert (model.input_modalities, model.supported_parameters) == (["text", "image"], ["tools"])
    assert (model.first_seen_at, model.last_seen_at, model.vanished_at) == (DAY, DAY, None)
    assert "pricing" not in model.details
    assert rows("vendor/one") == [("0.000003", DAY, None)]


def test_a_second_sync_with_the_same_list_touches_no_price():
    one, two = record("vendor/one"), record("vendor/two")
    sync(one, two)
    before = list(ModelPrice.objects.order_by("id").values())
    events = DomainEvent.objects.count()
    report = sync(one, two, at=DAY + HOUR)
    assert (report.unchanged, report.added, report.repriced) == (["vendor/one", "vendor/two"], [], [])
    assert list(ModelPrice.objects.order_by("id").values()) == before
    assert set(LanguageModel.objects.values_list("last_seen_at", flat=True)) == {DAY + HOUR}
    assert DomainEvent.objects.count() == events


def test_the_same_price_in_another_notation_is_no_change():
    sync(record("vendor/one", {"prompt": "0.0000030", "completion": "15e-6"}))
    assert sync(record("vendor/one", {"completion": "0.000015", "prompt": "3E-6"}), at=DAY + HOUR).repriced == []


def test_a_changed_price_closes_the_row_and_opens_the_next():
    sync(record("vendor/one"))
    report = sync(record("vendor/one", {**PLAIN, "prompt": "0.000004"}), at=DAY + HOUR)
    assert report.repriced == ["vendor/one"]
    assert rows("vendor/one") == [("0.000003", DAY, DAY + HOUR), ("0.000004", DAY + HOUR, None)]
    assert card_for("vendor/one", DAY + HOUR - timedelta(microseconds=1)).card.prices["prompt"] == Decimal("0.000003")
    assert card_for("vendor/one", DAY + HOUR).card.prices["prompt"] == Decimal("0.000004")
    assert card_for("vendor/one", DAY - timedelta(microseconds=1)) is None
    event = DomainEvent.objects.filter(type="prices.synced").latest("created_at")
    assert event.data["repriced"] == ["vendor/one"]


def test_two_changes_at_one_instant_leave_the_last_one():
    sync(record("vendor/one"))
    sync(record("vendor/one", {**PLAIN, "prompt": "0.000004"}), at=DAY)
    assert card_for("vendor/one", DAY).card.prices["prompt"] == Decimal("0.000004")
    assert card_for("vendor/one", DAY + HOUR).card.prices["prompt"] == Decimal("0.000004")


def test_a_late_answer_does_not_undo_a_newer_one():
    sync(record("vendor/one", {**PLAIN, "prompt": "0.000005"}), at=DAY + 2 * HOUR)
    sync(record("vendor/one", {**PLAIN, "prompt": "0.000004"}), at=DAY + HOUR)
    assert rows("vendor/one") == [
        ("0.000004", DAY + HOUR, DAY + 2 * HOUR),
        ("0.000005", DAY + 2 * HOUR, None),
    ]


def test_prices_that_cannot_be_read_are_reported_and_change_nothing():
    sync(record("vendor/one"))
    report = sync(
        record("vendor/one", {**PLAIN, "prompt": "-5"}),
        record("vendor/new", {"prompt": "free", "completion": "0"}),
        {"name": "without an id", "pricing": PLAIN},
        "not an object",
        at=DAY + HOUR,
    )
    assert set(report.refused) == {"vendor/one", "vendor/new", "(no id)"}
    assert rows("vendor/one") == [("0.000003", DAY, None)]
    assert rows("vendor/new") == []
    assert card_for("vendor/new", DAY + HOUR) is None


def test_a_route_dependent_price_is_kept_and_not_free():
    sync(record("openrouter/auto", {"prompt": "-1", "completion": "-1"}))
    price = card_for("openrouter/auto", DAY)
    assert price.card.is_dynamic()
    assert not price.is_free


def test_an_image_model_with_free_tokens_is_not_free():
    sync(record("vendor/painter", {"prompt": "0", "completion": "0", "image_output": "0.039"}))
    assert not card_for("vendor/painter", DAY).is_free
    assert not ModelPrice.objects.get(model_id="vendor/painter").is_free


def test_a_changed_record_is_renewed_without_a_new_price():
    sync(record("vendor/one", context_length=1000))
    sync(record("vendor/one", context_length=2000, name="One"), at=DAY + HOUR)
    model = LanguageModel.objects.get(id="vendor/one")
    assert (model.name, model.context_length, model.first_seen_at) == ("One", 2000, DAY)
    assert len(rows("vendor/one")) == 1


def test_a_vanished_model_is_marked_keeps_its_price_and_can_return():
    one, two, three = record("vendor/one"), record("vendor/two"), record("vendor/three")
    sync(one, two, three)
    assert sync(one, two, at=DAY + HOUR).vanished == ["vendor/three"]
    assert LanguageModel.objects.get(id="vendor/three").vanished_at == DAY + HOUR
    assert [model.id for model in listed_models()] == ["vendor/one", "vendor/two"]
    settled_late = card_for("vendor/three", DAY + 2 * HOUR)
    assert settled_late.card.prices["prompt"] == Decimal("0.000003")
    assert not settled_late.model.is_listed
    report = sync(one, two, three, at=DAY + 3 * HOUR)
    assert (report.returned, report.repriced) == (["vendor/three"], [])
    assert LanguageModel.objects.get(id="vendor/three").vanished_at is None


@pytest.mark.parametrize("kept", [0, 1])
def test_a_list_that_lost_most_of_its_models_marks_none(kept):
    models = [record(f"vendor/{number}") for number in range(4)]
    sync(*models)
    report = sync(*models[:kept], at=DAY + HOUR)
    assert report.is_partial
    assert not LanguageModel.objects.filter(vanished_at__isnull=False).exists()


def test_a_second_upstream_adds_its_own_models_and_changes_no_others():
    sync(record("vendor/one"))
    dearer = record("vendor/one", {**PLAIN, "prompt": "1"})
    report = sync(dearer, record("sandbox/echo"), source="sandbox", at=DAY + HOUR, is_authority=False)
    assert report.added == ["sandbox/echo"]
    assert rows("vendor/one") == [("0.000003", DAY, None)]
    assert sync(record("vendor/one"), at=DAY + 2 * HOUR).vanished == []  # not the other's
    assert LanguageModel.objects.get(id="vendor/one").source == "openrouter"


def test_the_database_refuses_two_prices_at_one_instant():
    sync(record("vendor/one"))
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelPrice.objects.create(model_id="vendor/one", pricing=PLAIN, effective_from=DAY + HOUR, source="by hand")


@pytest.mark.django_db(transaction=True)
def test_parallel_syncs_come_one_after_the_other():
    sync(*[record(f"vendor/{number}") for number in range(20)])
    gate = Barrier(4)

    def run(turn: int):
        try:
            gate.wait()
            pricing = {**PLAIN, "prompt": f"0.00000{turn + 4}"}
            return sync(*[record(f"vendor/{number}", pricing) for number in range(20)], at=DAY + turn * HOUR)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(run, range(4)))
    assert all(not report.refused for report in reports)
    for number in range(20):
        history = rows(f"vendor/{number}")
        # whatever the order, the last instant's price holds and no two periods overlap
        assert history[-1] == ("0.000007", DAY + 3 * HOUR, None)
        assert all(end == start for (_, _, end), (_, start, _) in pairwise(history))


# ------------------------------------------------------------------ an operator's price


def operate(model_id="vendor/one", prompt="0.000001", begins=DAY + HOUR, at=DAY, **fields):
    pricing = {**PLAIN, "prompt": prompt}
    return set_price(
        model_id=model_id, pricing=pricing, effective_from=begins, note="agreed", actor="op", at=at, **fields
    )


def test_an_operators_price_holds_from_its_date_and_outlives_syncs():
    sync(record("vendor/one"))
    operate()
    assert rows("vendor/one") == [("0.000003", DAY, DAY + HOUR), ("0.000001", DAY + HOUR, None)]
    report = sync(record("vendor/one", {**PLAIN, "prompt": "0.000009"}), at=DAY + 2 * HOUR)
    assert report.kept == ["vendor/one"]
    assert card_for("vendor/one", DAY + 3 * HOUR).source == OPERATOR
    event = DomainEvent.objects.get(type="price.set")
    assert (event.actor_label, event.data["model"], event.data["note"]) == ("op", "vendor/one", "agreed")


def test_a_sync_before_an_operators_date_changes_the_price_until_then():
    sync(record("vendor/one"))
    operate(begins=DAY + 5 * HOUR)
    sync(record("vendor/one", {**PLAIN, "prompt": "0.000004"}), at=DAY + HOUR)
    assert rows("vendor/one") == [
        ("0.000003", DAY, DAY + HOUR),
        ("0.000004", DAY + HOUR, DAY + 5 * HOUR),
        ("0.000001", DAY + 5 * HOUR, None),
    ]


def test_an_earlier_operators_price_ends_where_a_later_one_begins():
    sync(record("vendor/one"))
    operate(prompt="0.000005", begins=DAY + 5 * HOUR)
    operate(prompt="0.000002", begins=DAY + 2 * HOUR)
    assert [row[0] for row in rows("vendor/one")] == ["0.000003", "0.000002", "0.000005"]
    assert card_for("vendor/one", DAY + 5 * HOUR).card.prices["prompt"] == Decimal("0.000005")
    operate(prompt="0.000006", begins=DAY + 5 * HOUR)  # set again before it has begun
    assert card_for("vendor/one", DAY + 5 * HOUR).card.prices["prompt"] == Decimal("0.000006")


def test_a_price_cannot_begin_in_the_past():
    sync(record("vendor/one"))
    with pytest.raises(InvalidRequest):
        operate(begins=DAY - HOUR)
    assert rows("vendor/one") == [("0.000003", DAY, None)]


@pytest.mark.parametrize("pricing", [{"prompt": "-1", "completion": "-1"}, {"prompt": "cheap"}])
def test_an_operators_price_must_be_a_price(pricing):
    with pytest.raises(InvalidPrice):
        set_price(model_id="vendor/one", pricing=pricing, effective_from=DAY, note="", actor="op", at=DAY)
    assert not ModelPrice.objects.exists()


def test_an_operator_may_price_what_no_provider_lists():
    operate("center-deep/search", begins=DAY, name="Search")
    assert card_for("center-deep/search", DAY).model.name == "Search"
    sync(record("vendor/one"), at=DAY + HOUR)
    assert LanguageModel.objects.get(id="center-deep/search").vanished_at is None


def test_following_the_provider_again_restores_the_listed_price():
    sync(record("vendor/one"))
    operate()
    follow_provider(model_id="vendor/one", reason="x", actor="op", at=DAY + 2 * HOUR)
    price = card_for("vendor/one", DAY + 2 * HOUR)
    assert (price.card.prices["prompt"], price.source) == (Decimal("0.000003"), "openrouter")
    assert sync(record("vendor/one", {**PLAIN, "prompt": "0.000009"}), at=DAY + 3 * HOUR).repriced == ["vendor/one"]
    operate("vendor/own", begins=DAY)
    with pytest.raises(NotFound):
        follow_provider(model_id="vendor/own", reason="x", actor="op", at=DAY + HOUR)


# ------------------------------------------------------------------ the packaged list


def test_the_packaged_list_prices_models_once_and_yields_to_what_is_there():
    sync(record("openai/gpt-4o", {"prompt": "1", "completion": "1"}))
    seed = read_seed()
    assert load_price_seed(at=DAY) == len(seed.models) - 1
    assert load_price_seed(at=DAY + HOUR) == 0
    assert rows("openai/gpt-4o") == [("1", DAY, None)]
    price = card_for("anthropic/claude-sonnet-4.5-20250929", DAY)
    assert (price.model.id, price.source) == ("anthropic/claude-sonnet-4.5", seed.source)
    assert price.card.to_json() == {
        "prompt": "0.000003",
        "completion": "0.000015",
        "input_cache_read": "0.0000003",
        "input_cache_write": "0.00000375",
        "overrides": [
            {
                "min_prompt_tokens": 200000,
                "prompt": "0.000006",
                "completion": "0.0000225",
                "input_cache_read": "0.0000006",
                "input_cache_write": "0.0000075",
            }
        ],
    }


def test_the_packaged_list_reaches_back_and_knows_changes():
    load_price_seed(at=DAY)
    changed = next(model for model in read_seed().models if len(model.prices) > 1)
    before, after = changed.prices[:2]
    assert card_for(changed.id, BEGINNING).card.to_json() == before.pricing
    assert card_for(changed.id, after.effective_from).card.to_json() == after.pricing


def test_the_first_sync_takes_over_from_the_packaged_list():
    load_price_seed(at=DAY)
    report = sync(record("openai/gpt-4o"), at=DAY + HOUR)
    assert report.repriced == ["openai/gpt-4o"]
    assert "openai/gpt-4.1" in report.vanished
    assert len(report.vanished) == len(read_seed().models) - 1
    # dated names from the packaged list go on working
    assert name_of("openai/gpt-4o-2024-11-20") == "openai/gpt-4o"


def test_nothing_in_the_packaged_list_is_free_by_omission():
    for model in read_seed().models:
        for price in model.prices:
            free = all(value == "0" for value in price.pricing.values() if isinstance(value, str))
            assert not free or model.id.endswith(":free"), model.id
