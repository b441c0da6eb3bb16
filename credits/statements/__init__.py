"""Statements: what a wallet held, got and spent over a period, on lines that add up.

An entry belongs to the period in which it counts (``effective_at``): [start, end). Credit that expires at the very end
belongs to the period that ends. So a statement says the same whether its period was closed on time or weeks late.
"""

from credits.statements.reading import Figures, figures_of, running_statement, statements_of
from credits.statements.usage import UsageLine, register_usage_detail
from credits.statements.writing import StatementRequest, write_statements

__all__ = [
    "Figures",
    "StatementRequest",
    "UsageLine",
    "figures_of",
    "register_usage_detail",
    "running_statement",
    "statements_of",
    "write_statements",
]
