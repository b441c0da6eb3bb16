"""What a chart shows: a table of figures with names. The page prints the table; a script draws it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from core.money import ZERO

Value = Decimal | int | None  # None: there is nothing to say at this place, which is not zero

MONEY, COUNT = "money", "count"


@dataclass(frozen=True, slots=True)
class ChartRow:
    """One place on the axis: ``values`` in the order of the chart's names."""

    label: str
    values: Sequence[Value]

    @property
    def total(self) -> Decimal:
        """All values together."""
        return sum((Decimal(value) for value in self.values if value is not None), ZERO)


@dataclass(frozen=True, slots=True)
class Chart:
    """Figures by one axis. ``label`` names the whole for people who cannot see it; ``axis`` names the first column.

    ``kind`` is ``bar`` (columns, one on the other) or ``line``; ``unit`` is MONEY (USD) or COUNT. ``dashed`` names the
    series that are expected, not measured: the first one goes on in them, but in those that ``apart`` names.
    """

    label: str
    axis: str
    names: Sequence[str]
    rows: Sequence[ChartRow]
    kind: str = "bar"
    unit: str = MONEY
    dashed: frozenset[str] = field(default_factory=frozenset)
    apart: frozenset[str] = field(default_factory=frozenset)

    @property
    def series(self) -> list[tuple[str, int]]:
        """Each name with the number of its colour."""
        own = [name for name in self.names if name not in self.dashed - self.apart]
        return [(name, own.index(name) + 1 if name in own else 1) for name in self.names]

    @property
    def has_total(self) -> bool:
        """Whether the columns add up to something."""
        return self.kind == "bar" and len(self.names) > 1
