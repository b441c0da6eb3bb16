"""Whatever is sent, each event ends one way and the books stay right."""

import json
from collections import Counter

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.directory import authenticate_key
from credits.audit import audit_books
from metering.ingest.reporter import Reporter as Whose
from metering.ingest.requests import IngestRequest, answer_requests
from metering.ingest.routes import TRACK, TRACK_BATCH
from metering.ingest.shapes import TrackedEvent
from metering.models import UsageEvent
from tests.metering.reporting import Reporter, make_model, make_reporter
from tests.metering.sums import counted, stored

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

_numbers = st.integers() | st.sampled_from([0, -1, 2**31, 2**63, 10**12, 10**30]) | st.floats(allow_nan=True)
_texts = st.text(max_size=20) | st.sampled_from(
    ["NaN", "1e999", "-0", "0.000000000001", "2026-03-02T12:00:00Z", "\x00"]
)
_leaves = st.none() | st.booleans() | _numbers | _texts
_values = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
_wild = st.dictionaries(st.sampled_from(TrackedEvent.__struct_fields__), _values, max_size=5)
_likely = st.fixed_dictionaries(
    {"name": st.just("x")},
    optional={
        "external_id": st.sampled_from(["a", "b", "c"]),
        "model": st.sampled_from(["", "vendor/model", "vendor/unknown"]),
        "prompt_tokens": st.integers(0, 1000),
        "completion_tokens": st.integers(0, 1000),
        "cost": st.decimals(0, 3, places=12).map(str) | _numbers,
        "quantity": st.decimals(0, 3, places=6).map(str),
        "occurred_at": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
        "tags": st.dictionaries(st.text(max_size=3), _texts, max_size=2),
        "metadata": st.dictionaries(st.text(max_size=3), _values, max_size=2),
    },
)
_events = st.one_of(_likely, _likely, _wild, _values)


def test_any_batch_is_answered_event_by_event():
    make_model()
    organization = make_reporter("5")
    whose = Whose.of(authenticate_key(Reporter(organization).secret, at=timezone.now()))

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(_events, min_size=1, max_size=6), st.binary(max_size=30))
    def hold(events, noise):
        texts = [json.dumps({"events": events}).encode(), json.dumps(events[0]).encode(), noise]
        routes = [TRACK_BATCH, TRACK, TRACK]
        requests = [
            IngestRequest(route, whose, text, timezone.now()) for route, text in zip(routes, texts, strict=True)
        ]
        before = UsageEvent.objects.count()
        batch, one, rest = answer_requests(requests)
        assert batch.status in (200, 207, 400)
        assert {one.status, rest.status} <= {200, 201, 400, 402, 403, 404, 413, 422}
        recorded = int(one.status == 201) + int(rest.status == 201)
        if batch.status != 400:
            results = json.loads(batch.body)["results"]
            assert [result["index"] for result in results] == list(range(len(events)))
            recorded += Counter(result["status"] for result in results)["recorded"]
        assert UsageEvent.objects.count() == before + recorded

    hold()
    assert stored() == counted()
    assert audit_books() == []
