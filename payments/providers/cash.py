"""Coins and notes: in the drawer once the waiter says so, with nobody outside to ask."""

from .base import ChargeRequest, Outcome, Snapshot


def take_cash(request: ChargeRequest) -> Snapshot:
    return Snapshot(Outcome.SUCCEEDED, request.amount_minor, request.tip_minor)
