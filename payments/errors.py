"""Why a payment or a receipt is refused."""

from fynlo.errors import DomainError, InvalidInput, NotFound


class PaymentIdReused(DomainError):
    status = 422
    code = "payment_id_reused"
    detail = "This id names another payment already."


class TenderedTooLittle(InvalidInput):
    code = "tendered_too_little"


class NoReceipt(NotFound):
    code = "no_receipt"
    detail = "This order has no receipt: it has not been closed."


class NoSuchPayment(NotFound):
    code = "no_such_payment"
    detail = "There is no such payment here."
