"""What calls read before they begin: the same answers as the reads of one, however many ask together."""

import asyncio

import pytest
from django.db import connection
from django.utils import timezone

from accounts.directory import fetch_key
from accounts.key_secrets import digest_of
from core.ids import uuid7
from openrouter.gateway.access import read_access
from openrouter.gateway.lookups import Lookups
from openrouter.models import AccountStatus, ProviderAccount
from tiers.models import Subscription, Tier
from tiers.querysets import forget_terms, terms_for

pytestmark = pytest.mark.django_db(transaction=True)


def ask(*questions):
    """The answers of one set of lookups to questions that are asked at once."""

    async def main():
        lookups = Lookups()
        try:
            return await asyncio.gather(*(question(lookups) for question in questions))
        finally:
            await lookups.close(5)

    return asyncio.run(main())


def test_each_question_gets_the_row_of_its_own_key(customer):
    buyers = [customer() for _ in range(3)]
    digests = [digest_of(buyer.secret) for buyer in buyers] + ["0" * 64]
    found = ask(*(lambda lookups, digest=digest: lookups.key_row(digest) for digest in digests))
    assert found == [fetch_key(digest) for digest in digests]
    assert found[-1] is None and len({row[0] for row in found[:-1]}) == 3


def test_access_is_what_one_would_read_alone(customer):
    active, stopped, shared, own = (customer(tier="own-key") for _ in range(4))
    ProviderAccount.objects.filter(organization=stopped.organization).update(status=AccountStatus.DISABLED)
    ProviderAccount.objects.filter(organization=shared.organization).update(status=AccountStatus.PENDING)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO openrouter_byokcredential"
            " (organization_id, secret, hash, last_four, label, is_enabled, verified_at, last_error, created_at)"
            " SELECT organization_id, secret, 'h', 'abcd', '', true, now(), '', now()"
            " FROM openrouter_provideraccount WHERE organization_id = %s",
            [own.organization.pk],
        )
    places = [(buyer.organization.pk, "live") for buyer in (active, stopped, shared, own)] + [(uuid7(), "live")]
    found = ask(*(lambda lookups, place=place: lookups.access(place) for place in places))
    assert found == [read_access(place) for place in places]
    kinds = [(access.ours and access.ours.kind, access.own and access.own.kind) for access in found]
    assert kinds == [("sub-key", None), (None, None), ("shared", None), ("sub-key", "own"), ("shared", None)]


def test_keys_and_access_asked_for_together_do_not_mix(customer):
    buyer = customer()
    digest, place = digest_of(buyer.secret), (buyer.organization.pk, "live")
    found = ask(lambda lookups: lookups.access(place), lambda lookups: lookups.key_row(digest))
    assert found == [read_access(place), fetch_key(digest)]


def test_terms_are_what_the_orm_reads(customer):
    buyers = [customer(tier=tier) for tier in ("paid", "free", "listed", "own-key")]
    ids = [buyer.organization.pk for buyer in buyers]
    found = ask(*(lambda lookups, each=each: lookups.terms(each) for each in ids))
    forget_terms()
    assert found == [terms_for(each) for each in ids]


def test_without_a_subscription_the_default_tier_holds(customer):
    buyer = customer()
    Subscription.objects.filter(organization=buyer.organization).update(ended_at=timezone.now(), status="ended")
    Tier.objects.filter(slug="exact").update(is_default=True)
    try:
        [terms] = ask(lambda lookups: lookups.terms(buyer.organization.pk))
        assert (terms.slug, terms.subscription_id) == ("exact", None)
    finally:
        Tier.objects.filter(slug="exact").update(is_default=False)
