"""What a call will cost, told before it is made: likely, in all but one of twenty cases, and at most."""

from metering.estimates.estimating import Estimate, estimate_call
from metering.estimates.routes import CallPlan, plan_by

__all__ = ["CallPlan", "Estimate", "estimate_call", "plan_by"]
