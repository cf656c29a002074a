"""Our books beside a provider's: every night, or when asked. May be run twice; the same is found again.

The provider's lists are read outside any transaction, then compared row by row, each in short ones of its
own (`runs`). What only one side knows of is asked about first: a payment that was thought to have failed is
booked (adopted). What remains is an issue that a person settles, or that settles itself once it no longer
holds. `charges`, `refunds` and `disputes` go by what the provider lists, `unlisted` by what it does not.
"""

from .runs import UNEXPECTED, reconcile_restaurant, restaurants_with_accounts

__all__ = ["UNEXPECTED", "reconcile_restaurant", "restaurants_with_accounts"]
