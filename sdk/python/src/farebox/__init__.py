"""The client of Farebox: prepaid credits, usage metering and cost control for products built on LLMs."""

from farebox.aio import AsyncFarebox
from farebox.client import Farebox
from farebox.errors import (
    ApiError,
    Conflict,
    ConnectionFailed,
    FareboxError,
    InsufficientCredits,
    InvalidRequest,
    InvalidSignature,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    QueueFull,
    RateLimited,
    ServerError,
)
from farebox.holds import AsyncHold, Hold
from farebox.recorder import Recorder
from farebox.types import Balance, Event, HoldState, MeterBalance, Tracked

__all__ = [
    "ApiError",
    "AsyncFarebox",
    "AsyncHold",
    "Balance",
    "Conflict",
    "ConnectionFailed",
    "Event",
    "Farebox",
    "FareboxError",
    "Hold",
    "HoldState",
    "InsufficientCredits",
    "InvalidRequest",
    "InvalidSignature",
    "MeterBalance",
    "NotAuthenticated",
    "NotFound",
    "PermissionDenied",
    "QueueFull",
    "RateLimited",
    "Recorder",
    "ServerError",
    "Tracked",
]
