"""Decide which figures may leave the site: the one way from a raw aggregate to a cleared result."""

from atoll_node.disclosure.earlier import Figure
from atoll_node.disclosure.gate import RULES, clear
from atoll_node.disclosure.ledger import Ledger, Remembered
from atoll_node.disclosure.ledger_store import LedgerStore
from atoll_node.disclosure.parts import clear_parts

__all__ = ["RULES", "Figure", "Ledger", "LedgerStore", "Remembered", "clear", "clear_parts"]
