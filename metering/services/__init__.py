"""Every write of the meter."""

from metering.services.budgets import BudgetTerms, create_budget, delete_budget, update_budget
from metering.services.corrections import Corrected, correct_event, void_event
from metering.services.customer_events import cut_off_usage, ingest_events
from metering.services.estimates import fade_lengths, learn_from_usage
from metering.services.meters import create_meter, update_meter
from metering.services.partitions import make_partitions
from metering.services.recording import record_usage, record_usage_query, usage_outcomes
from metering.services.rollups import rebuild_rollups

__all__ = [
    "BudgetTerms",
    "Corrected",
    "correct_event",
    "create_budget",
    "create_meter",
    "cut_off_usage",
    "delete_budget",
    "fade_lengths",
    "ingest_events",
    "learn_from_usage",
    "make_partitions",
    "rebuild_rollups",
    "record_usage",
    "record_usage_query",
    "update_budget",
    "update_meter",
    "usage_outcomes",
    "void_event",
]
