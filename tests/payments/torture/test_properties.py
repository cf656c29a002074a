"""Whatever is sold and however it is given back, bit by bit, the tax and the books come out (T18)."""

import itertools
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fynlo.money import share_out
from fynlo.tenancy.fields import uuid7
from fynlo.tenancy.scope import restaurant_scope
from orders.pricing import TaxLine
from payments.models import LedgerEntry
from payments.refunding import part_of_line, refund_tax_lines
from tests.client import ApiClient
from tests.payments.bills import open_bill, pay

RATES = ("20", "5", "0", "12.5")


@st.composite
def sales(draw: st.DrawFn) -> list[TaxLine]:
    """What was sold at each of some rates, taxed as pricing does it, to the penny either way."""
    lines: list[TaxLine] = []
    for percent in draw(st.lists(st.sampled_from(RATES), min_size=1, max_size=4, unique=True)):
        gross = draw(st.integers(1, 100_000))
        tax = round(gross * float(percent) / (100 + float(percent)))
        lines.append({"percent": percent, "gross_minor": gross, "net_minor": gross - tax, "tax_minor": tax})
    return lines


def give_back(sold: Sequence[TaxLine], amounts: Sequence[int]) -> list[list[TaxLine]]:
    refunded: list[list[TaxLine]] = []
    for amount in amounts:
        refunded.append(refund_tax_lines(sold, refunded, amount))
    return refunded


def cut(total: int, cuts: Sequence[int]) -> list[int]:
    """A total in parts, at these places."""
    places = [0, *sorted({place % total for place in cuts} - {0}), total]
    return [b - a for a, b in itertools.pairwise(places)]


@given(sold=sales(), cuts=st.lists(st.integers(0, 10**6), max_size=6))
def test_refunding_bit_by_bit_ends_at_the_sale_to_the_penny(sold, cuts):
    total = sum(line["gross_minor"] for line in sold)
    refunded = give_back(sold, cut(total, cuts))
    for line in sold:
        back = [r for lines in refunded for r in lines if r["percent"] == line["percent"]]
        assert sum(r["gross_minor"] for r in back) == line["gross_minor"]
        assert sum(r["tax_minor"] for r in back) == line["tax_minor"]
        assert sum(r["net_minor"] for r in back) == line["net_minor"]


@given(sold=sales(), cuts=st.lists(st.integers(0, 10**6), max_size=6))
def test_no_refund_takes_back_more_than_it_gives(sold, cuts):
    total = sum(line["gross_minor"] for line in sold)
    for amount, lines in zip(cut(total, cuts), give_back(sold, cut(total, cuts)), strict=True):
        assert sum(line["gross_minor"] for line in lines) == amount
        assert all(0 <= line["tax_minor"] <= line["gross_minor"] for line in lines)
        assert all(line["net_minor"] + line["tax_minor"] == line["gross_minor"] for line in lines)


@given(total=st.integers(0, 10**6), parts=st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_the_parts_of_a_line_come_to_the_line(total, parts):
    quantity, before, given_back = sum(parts), 0, []
    for count in parts:
        given_back.append(part_of_line(total, quantity, before, count))
        before += count
    assert sum(given_back) == total
    assert min(given_back) >= 0


@given(amount=st.integers(1, 10**7), weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
def test_what_is_shared_out_is_all_of_it(amount, weights):
    if not sum(weights):
        return
    shares = share_out(amount, weights)
    assert sum(shares) == amount
    exact = [amount * weight / sum(weights) for weight in weights]
    assert all(abs(share - e) < 1 for share, e in zip(shares, exact, strict=True))


@given(
    amounts=st.lists(st.integers(1, 3095), min_size=1, max_size=5),
    refunds=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3095)), max_size=5),
)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
def test_the_books_balance_whatever_is_paid_and_given_back(till, owner, scene, restaurant, amounts, refunds):
    """Two burgers and a cake, paid in parts and given back in others: each row of the books says so."""

    boss = ApiClient(owner)
    bill = open_bill(till, scene.takeaway(scene.burger(2), scene.line("Cake")))
    due, taken = 3095, []
    for amount in amounts:
        answer = pay(till, bill, amount_minor=amount)
        assert (answer.status_code == 201) == (amount <= due), answer.content
        if answer.status_code == 201:
            due -= amount
            taken.append([answer.json()["id"], amount])
    for n, amount in refunds:
        if n >= len(taken):
            continue
        body = {"id": str(uuid7()), "amount_minor": amount, "reason": "Cold"}
        answer = boss.post(f"payments/{taken[n][0]}/refunds", body)
        assert (answer.status_code == 201) == (amount <= taken[n][1]), answer.content
        if answer.status_code == 201:
            taken[n][1] -= amount
            due += amount
    order = till.get(f"orders/{bill['id']}").json()
    assert order["balance_due_minor"] == due
    with restaurant_scope(restaurant.pk):
        books = list(LedgerEntry.objects.filter(order=bill["id"]).values_list("account", "amount_minor"))
    assert sum(amount for _, amount in books) == 0
    assert sum(amount for account, amount in books if account == "cash") == 3095 - due
