"""Over random histories of events, voids and corrections the rollups are the sums counted one by one."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from credits.audit import audit_books
from credits.errors import InsufficientCredits
from credits.models import CreditAccount
from metering.errors import AlreadyCorrected
from metering.models import UsageEvent
from metering.services import correct_event, rebuild_rollups, record_usage, void_event
from tests.builders import NOON, make_funded, make_record
from tests.metering.sums import counted, stored

_amounts = st.decimals(0, 3, places=12)
_times = st.builds(
    lambda days, minutes: NOON + timedelta(days=days, minutes=minutes), st.integers(-40, 2), st.integers(0, 1440)
)
_fields = st.fixed_dictionaries(
    {
        "occurred_at": _times,
        "kind": st.sampled_from(["chat", "custom"]),
        "name": st.sampled_from(["", "a"]),
        "model": st.sampled_from(["", "vendor/m"]),
        "is_free": st.booleans(),
        "status": st.sampled_from(["ok", "error"]),
        "latency_ms": st.none() | st.integers(0, 9),
        "prompt_tokens": st.integers(0, 10**12),
        "completion_tokens": st.integers(0, 9),
        "quantity": st.decimals(0, 9, places=6),
        "tags": st.dictionaries(st.sampled_from(["f", "g"]), st.sampled_from(["x", "y"])),
        "provider_cost": _amounts,
        "markup": _amounts,
    }
)
_batches = st.lists(
    st.tuples(st.integers(0, 1), st.none() | st.sampled_from(["a", "b", "c", "d"]), _fields), min_size=1, max_size=6
)


class Usage(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.world = transaction.atomic()
        self.world.__enter__()

    @initialize()
    def two_wallets(self):
        self.organizations = [make_funded("8"), make_funded("4")]

    def record_of(self, organization, fields, external_id=None):
        fields = {**fields, "charge": fields["provider_cost"] + fields["markup"]}
        return make_record(self.organizations[organization], external_id=external_id, **fields)

    @rule(batch=_batches)
    def record(self, batch):
        record_usage([self.record_of(number, fields, name) for number, name, fields in batch], at=NOON)

    @rule(pick=st.randoms(use_true_random=False))
    def void(self, pick):
        if events := list(UsageEvent.objects.order_by("id")):
            self.take_back(pick.choice(events))

    def take_back(self, event):
        with suppress(AlreadyCorrected):
            void_event(organization_id=event.organization_id, event_id=event.id, reason="r", actor="t", at=NOON)

    @rule(pick=st.randoms(use_true_random=False), fields=_fields)
    def correct(self, pick, fields):
        if not (events := list(UsageEvent.objects.order_by("id"))):
            return
        event = pick.choice(events)
        number = [organization.pk for organization in self.organizations].index(event.organization_id)
        with suppress(AlreadyCorrected, InsufficientCredits):
            correct_event(
                organization_id=event.organization_id,
                event_id=event.id,
                replacement=self.record_of(number, fields),
                reason="r",
                actor="t",
                at=NOON,
            )

    @rule()
    def rebuild(self):
        before = stored()
        rebuild_rollups(first=NOON.date() - timedelta(days=41), last=NOON.date() + timedelta(days=4))
        assert stored() == before

    @invariant()
    def rollups_are_the_sums(self):
        assert stored() == counted()

    @invariant()
    def wallets_have_paid_for_the_live_events(self):
        for organization, funded in zip(getattr(self, "organizations", ()), (Decimal(8), Decimal(4)), strict=False):
            spent = sum(
                UsageEvent.objects.filter(organization=organization, voided_at=None).values_list("charge", flat=True)
            )
            assert CreditAccount.objects.get(pk=organization.pk).balance == funded - spent

    def teardown(self):
        found = audit_books()
        transaction.set_rollback(True)
        self.world.__exit__(None, None, None)
        assert found == []


@pytest.mark.slow
@pytest.mark.django_db
def test_rollups_and_wallets_follow_the_events_over_random_histories():
    run_state_machine_as_test(
        Usage,
        settings=settings(
            max_examples=30, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
