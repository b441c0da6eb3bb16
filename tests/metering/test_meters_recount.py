"""Whatever happens to events, a meter says what counting them one by one says, at any time and however it is asked."""

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import msgspec
import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.ids import uuid7
from metering.customer_events import CustomerEvent
from metering.meters.customers import CustomerRef
from metering.meters.grammar import aggregation_json, filter_json, parse_aggregation, parse_filter
from metering.meters.matching import EventFacts, matching
from metering.meters.models import Meter
from metering.meters.quantities import quantities
from metering.meters.readings import readings, used_meters
from metering.meters.sums import Sums, add_up
from metering.models import UsageEvent
from metering.services import correct_event, ingest_events, void_event
from tests.builders import NOON, make_organization, make_record
from tests.metering.recount import Counted, aggregate, by_bucket, by_group, close, counts, same

pytestmark = pytest.mark.django_db
OURS = [uuid7() for _ in range(2)]
THEIRS = ["u-1", "u 2", "%"]
ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "Asia/Kathmandu")]

_scalars = st.one_of(
    st.sampled_from(["", "a", "ab", "b%", "B", "_", "ä", "3", "true", "\\"]),
    st.sampled_from([0, 1, -1, 3, 2**31 - 1, 10**15]),
    st.sampled_from(
        [Decimal("0.1"), Decimal("1.0"), Decimal("-2.5"), Decimal("3.00000000000000000001"), Decimal("1E+2")]
    ),
    st.booleans(),
)
_keys = ["n", "s", "a.b", "_llm"]
_metadata = st.dictionaries(st.sampled_from(_keys), _scalars, max_size=3) | st.builds(
    lambda flat, nested: {**flat, "a": {"b": nested}}, st.dictionaries(st.sampled_from(["n", "s"]), _scalars), _scalars
)
_properties = st.sampled_from(
    ["n", "s", "a.b", "metadata.n", "a", "absent", "name", "source", "timestamp", "event.model", "event.tags.t"]
)
_comparisons = st.fixed_dictionaries(
    {
        "property": _properties,
        "operator": st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte", "like", "not_like"]),
        "value": st.one_of(
            st.sampled_from(["", "a", "b", "%", "_", "user", "x", "3", "true", "ä"]),
            st.sampled_from([0, 1, 3, -1, 2**31 - 1, int(NOON.timestamp())]),
            st.booleans(),
        ),
    }
)
_filters = st.recursive(
    st.builds(
        lambda conjunction, clauses: {"conjunction": conjunction, "clauses": clauses},
        st.sampled_from(["and", "or"]),
        st.lists(_comparisons, max_size=2),
    ),
    lambda inner: st.builds(
        lambda conjunction, clauses: {"conjunction": conjunction, "clauses": clauses},
        st.sampled_from(["and", "or"]),
        st.lists(inner | _comparisons, max_size=3),
    ),
    max_leaves=5,
)
_aggregations = st.just({"func": "count"}) | st.builds(
    lambda function, name: {"func": function, "property": name},
    st.sampled_from(["sum", "avg", "min", "max", "unique", "latest"]),
    _properties,
)
_definitions = st.fixed_dictionaries({"filter": _filters, "aggregation": _aggregations})
_times = st.builds(
    lambda days, micros: NOON + timedelta(days=days, microseconds=micros),
    st.integers(-70, 0),
    st.integers(0, 86_400_000_000),
).map(lambda moment: min(moment, NOON))
_events = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "a", "b"]),
        "at": _times,
        "metadata": _metadata,
        "customer": st.sampled_from([*OURS, *THEIRS, None]),
        "model": st.sampled_from(["", "a"]),
        "tags": st.sampled_from([{}, {"t": "x"}, {"t": "3"}]),
        "ours": st.sampled_from([False, False, False, True]),
    }
)
_histories = st.lists(
    st.tuples(st.sampled_from(["ingest", "ingest", "ingest", "void", "correct"]), _events, st.integers(0, 99)),
    min_size=1,
    max_size=14,
)


@pytest.fixture
def organizations(db):
    return make_organization(), make_organization()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    history=_histories,
    definitions=st.lists(_definitions, min_size=1, max_size=3),
    range_=st.tuples(_times, _times).map(sorted),
    interval=st.sampled_from(["hour", "day", "week", "month", "year"]),
    zone=st.sampled_from(ZONES),
    customer=st.sampled_from([None, *OURS, *THEIRS]),
    group=_properties,
)
def test_a_meter_says_what_counting_says(organizations, history, definitions, range_, interval, zone, customer, group):
    with transaction.atomic():
        organization, stranger = organizations
        log = _live(history, organization, stranger)
        meters = [Meter(organization=organization, name="m", **_stored(definition)) for definition in definitions]
        start, end = range_[0], range_[1] + timedelta(seconds=1)
        for meter, definition in zip(meters, definitions, strict=True):
            _check_quantities(meter, definition, log, start, end, interval, zone, customer, group)
        _check_readings(meters, definitions, log, start, end, customer)
        _check_python(meters, definitions, log)
        transaction.set_rollback(True)


def _live(history, organization, stranger):
    """Let it happen, and write down what is to be counted."""
    log, clock = [], NOON - timedelta(days=100)
    for step, (what, event, pick) in enumerate(history):
        clock += timedelta(days=7)
        alive = [known for known in log if not known.is_void]
        if what == "ingest" or not alive:
            log.append(_ingest(organization, event, step, clock))
            _ingest(stranger, event, step, clock)
            continue
        target = alive[pick % len(alive)]
        target.is_void = True
        if what == "void":
            void_event(organization_id=organization.pk, event_id=target.id, reason="r", actor="t", at=clock)
        else:
            log.append(_correct(organization, target, event, clock))
    return log


def _ingest(organization, event, step, clock):
    ours, theirs = _ids(event["customer"])
    sent = CustomerEvent(
        name=event["name"],
        customer_id=ours,
        external_customer_id=theirs,
        external_id=f"e-{step}",
        occurred_at=event["at"],
        metadata=event["metadata"],
        source="system" if event["ours"] else "api",
    )
    result = ingest_events(organization_id=organization.pk, events=[sent, sent], at=clock)
    assert (result.inserted, result.duplicates) == (1, 1)
    facts = {"is_ours": event["ours"], "model": ""}
    return Counted(result.event_ids[0], event["name"], event["at"], clock, event["metadata"], ours, theirs, **facts)


def _correct(organization, target, event, clock):
    ours, theirs = _ids(event["customer"])
    record = make_record(
        organization,
        name=event["name"],
        occurred_at=event["at"],
        metadata=_as_json(event["metadata"]),
        model=event["model"],
        tags=event["tags"],
        customer_id=ours,
        external_customer_id=theirs,
    )
    names = {"organization_id": organization.pk, "event_id": target.id, "reason": "r", "actor": "t", "at": clock}
    done = correct_event(replacement=record, **names)
    return Counted(
        done.replacement.event_id,
        event["name"],
        event["at"],
        target.received,
        event["metadata"],
        ours,
        theirs,
        model=event["model"],
        tags=event["tags"],
    )


def _as_json(metadata):
    return msgspec.Raw(msgspec.json.Encoder(decimal_format="number").encode(metadata))


def _ids(customer):
    return (customer, None) if customer in OURS else (None, customer)


def _stored(definition):
    return {
        "filter": filter_json(parse_filter(definition["filter"])),
        "aggregation": aggregation_json(parse_aggregation(definition["aggregation"])),
    }


def _whose(log, customer):
    return [event for event in log if customer is None or customer in (event.customer_id, event.external)]


def _ref(customer):
    return None if customer is None else CustomerRef(*_ids(customer))


def _check_quantities(meter, definition, log, start, end, interval, zone, customer, group):
    inside = [e for e in _whose(log, customer) if start <= e.at < end and counts(definition, e)]
    name = group.removeprefix("metadata.")
    asked = {"meter": meter, "start": start, "end": end, "interval": interval, "zone": zone}
    said = quantities(**asked, customers=_ref(customer), group_by=name)
    assert close(said.total, aggregate(definition, inside))
    buckets = by_bucket(definition, inside, interval, zone)
    assert all(
        close(bucket.quantity, buckets.pop(bucket.start, 0 * aggregate(definition, []))) for bucket in said.buckets
    )
    assert not buckets
    groups = by_group(definition, inside, name)
    for one in said.groups:
        assert close(one.total, groups.pop(None if one.value is None else same(one.value)))
    assert not groups


def _check_readings(meters, definitions, log, since, until, customer):
    windows = {meters[0].pk: (since, until), meters[-1].pk: (since, None)}
    said = readings(meters=meters, customer=_ref(customer), windows=windows)
    used = used_meters(meters=meters, customer=_ref(customer))
    for meter, definition in zip(meters, definitions, strict=True):
        first, last = windows.get(meter.pk, (None, None))
        ever = [event for event in _whose(log, customer) if counts(definition, event)]
        inside = [e for e in ever if (not first or e.received >= first) and (not last or e.received < last)]
        assert close(said[meter.pk].quantity, aggregate(definition, inside))
        assert said[meter.pk].events == len(inside)
        assert (meter.pk in used) == bool(ever)


def _check_python(meters, definitions, log):
    for event in log:
        columns = SimpleNamespace(model=event.model, tags=event.tags)
        facts = EventFacts(event.name, "system" if event.is_ours else "api", event.at, event.metadata, columns)
        expected = [m for m, d in zip(meters, definitions, strict=True) if counts(d, event) or _only_void(d, event)]
        assert matching(meters, facts) == expected


def _only_void(definition, event):
    return event.is_void and counts(definition, Counted(**{**vars(event), "is_void": False}))


def test_stored_events_match_as_the_database_says(db):
    organization = make_organization()
    event = CustomerEvent(name="x", metadata={"n": Decimal("0.30"), "ok": True})
    ingest_events(organization_id=organization.pk, events=[event], at=NOON)
    clause = {"property": "n", "operator": "gt", "value": 0}
    stored = _stored({"filter": {"conjunction": "and", "clauses": [clause]}, "aggregation": {"func": "count"}})
    meter = Meter(organization=organization, name="m", **stored)
    assert matching([meter], EventFacts.of(UsageEvent.objects.get(organization=organization))) == [meter]


@pytest.mark.parametrize("step", ["0", "-2", "+0", " 0", "00", "- 1", "+", "", "2", "-3", "\u00b2", "9" * 20])
def test_places_in_arrays_are_read_as_the_database_reads_them(db, step):
    organization = make_organization()
    event = CustomerEvent(name="x", metadata={"n": [1, 2]})
    ingest_events(organization_id=organization.pk, events=[event], at=NOON)
    clause = {"property": f"n.{step}", "operator": "gt", "value": 0}
    stored = _stored({"filter": {"conjunction": "and", "clauses": [clause]}, "aggregation": {"func": "count"}})
    meter = Meter(organization=organization, name="m", **stored)
    by_sql = readings(meters=[meter], customer=None)[meter.pk].events
    assert len(matching([meter], EventFacts.of(UsageEvent.objects.get(organization=organization)))) == by_sql


def test_sums_of_many_digits_are_added_without_rounding():
    large, small = Decimal("1e300"), Decimal("0.000000000000000001")
    total = add_up([Sums(total=large), Sums(total=small), Sums(total=-large)]).total
    assert total == small
