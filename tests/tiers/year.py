"""A year of many organizations on both catalogues, lived through twice: with a beat every day, and with a bad one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from heapq import merge
from random import Random
from threading import Thread
from typing import Any

from django.db import connection

from tests.builders import make_organization
from tests.tiers.closing import books, make_subscription
from tests.tiers.customers import Action, Customer, beat, script
from tiers.catalogue import CATALOGUES, load_catalogue
from tiers.models import Tier
from tiers.services import begin_period

START = datetime(2027, 1, 1, tzinfo=UTC)
END = datetime(2028, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe"]


@dataclass
class Life:
    """One organization's part in the year: the same whatever the beat does."""

    number: int
    tier: Tier
    zone: str
    collection: str
    begins_at: datetime
    actions: list[Action] = field(default_factory=list)


def load_tiers() -> dict[str, list[Tier]]:
    """The tiers of both catalogues; paid ones roll some credit over and may go below zero, so that all is lived."""
    for name in CATALOGUES:
        load_catalogue(name=name, at=START - DAY)
    paid = Tier.objects.filter(monthly_price__gt=0)
    paid.filter(rollover_percent=0).update(
        rollover_percent=Decimal("33.33"), rollover_cap=Decimal(20), rollover_periods=2, overage_limit=Decimal(5)
    )
    return {name: list(Tier.objects.filter(catalogue=name).order_by("position")) for name in CATALOGUES}


def plan(seed: int, organizations: int, every: timedelta) -> list[Life]:
    """What each organization will do; half of them on each catalogue, most of them beginning late in a month."""
    chance, tiers, lives = Random(seed), load_tiers(), []
    for number in range(organizations):
        mine = list(tiers.values())[number % len(tiers)]
        tier = chance.choice(mine)
        zone = chance.choice(ZONES)
        begins = START + timedelta(days=chance.choice([0, 14, 27, 28, 29, 30]), seconds=chance.randrange(86_400))
        collection = chance.choice(["manual", "automatic", "none"]) if tier.monthly_price else "none"
        actions = list(script(chance, [each.slug for each in mine], begins, END, every))
        lives.append(Life(number, tier, zone, collection, begins, actions))
    return lives


def begin(lives: list[Life]) -> list[Customer]:
    """The organizations of one telling of the year."""
    customers = []
    for life in lives:
        organization = make_organization(name=f"Life {life.number}", created_at=life.begins_at, time_zone=life.zone)
        subscription = make_subscription(
            life.tier, organization=organization, at=life.begins_at, zone=life.zone, collection=life.collection
        )
        begin_period(subscription=subscription, at=life.begins_at)
        customers.append(Customer(organization))
    return customers


def every_day() -> Iterator[tuple[datetime, int]]:
    """When the beat runs, and how often at that time: as it should."""
    day = START
    while day < END:
        day += DAY
        yield day, 1


def badly(seed: int) -> Callable[[], Iterator[tuple[datetime, int]]]:
    """Outages of up to 45 days, then once, twice, or twice at the same time (3)."""

    def beats() -> Iterator[tuple[datetime, int]]:
        chance, at = Random(seed), START
        while at < END:
            at += timedelta(hours=chance.choice([1, 5, 30, 24 * 9, 24 * 45]) * chance.uniform(0.5, 1))
            if at < END:
                yield at, chance.choice([1, 2, 3])
        yield END, 2

    return beats


def live(lives: list[Life], beats: Callable[[], Iterator[tuple[datetime, int]]], *, threads: bool) -> list[Customer]:
    """Tell the year: everybody's actions and the beats, in the order of time."""
    customers = begin(lives)
    for _, _, run in merge(_runs(beats, threads), *map(_deeds, lives, customers), key=lambda each: each[:2]):
        run()
    return customers


def _runs(beats: Callable[[], Iterator[tuple[datetime, int]]], threads: bool) -> Iterator[tuple[datetime, int, Any]]:
    for at, times in beats():
        yield at, -1, lambda at=at, times=times: _beat(at, times, threads)


def _deeds(life: Life, customer: Customer) -> Iterator[tuple[datetime, int, Any]]:
    for at, what, value in life.actions:
        yield at, life.number, lambda at=at, what=what, value=value: customer.do(what, value, at)


def _beat(at: datetime, times: int, threads: bool) -> None:
    if times == 3 and threads:
        both = [Thread(target=_beat_apart, args=(at,)) for _ in range(2)]
        for each in both:
            each.start()
        for each in both:
            each.join()
    for _ in range(times if times < 3 else 1):
        beat(at)


def _beat_apart(at: datetime) -> None:
    """On a connection of its own."""
    try:
        beat(at)
    finally:
        connection.close()


def compare(first: list[Customer], second: list[Customer]) -> list[str]:
    """Where the two tellings differ: organization and part of the books."""
    differences = []
    for one, other in zip(first, second, strict=True):
        mine, theirs = books(one.id), books(other.id)
        differences += [f"{one.organization.name}: {part}" for part in mine if mine[part] != theirs[part]]
        if one.answers != other.answers:
            differences.append(f"{one.organization.name}: answers")
    return differences
