"""Why a payment, a refund or a receipt is refused."""

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


class NoSuchAccount(NotFound):
    code = "no_such_account"
    detail = "There is no such payment account here."


class NoSuchTerminal(InvalidInput):
    code = "no_such_terminal"
    detail = "There is no such card reader in use here."


class NoWayToPay(DomainError):
    """No account of this restaurant takes this kind of payment."""

    code = "no_payment_account"
    detail = "No active payment account of this restaurant takes this kind of payment."


class ProviderUnavailable(DomainError):
    """The provider does not answer just now, so nothing was begun."""

    status = 503
    code = "provider_unavailable"
    detail = "The card company does not answer just now. Nothing was taken: offer another way to pay."
    retry_after = 30


class TerminalBusy(DomainError):
    code = "terminal_busy"
    detail = "Another payment is on this card reader: finish or cancel it first."


class CurrencyDiffers(DomainError):
    code = "currency_differs"
    detail = "This order is in another currency than the payment account takes."


class PaymentNotOpen(DomainError):
    code = "payment_not_open"
    detail = "This payment is over: nothing of it can be changed."


class PaymentNotOver(DomainError):
    code = "payment_not_over"
    detail = "This payment is paid, or still under way: only what took nothing can be tried again."


class PaymentNotAuthorized(DomainError):
    code = "payment_not_authorized"
    detail = "Only a payment that was authorised and not captured yet can be captured."


class CaptureUnderWay(DomainError):
    code = "capture_under_way"
    detail = "Another amount of this payment is being captured just now."


class NotUnknown(DomainError):
    """Only what nobody can find out is decided by a person, and only after a day."""

    code = "payment_not_unknown"
    detail = "A person decides only about a payment of which nothing has been known for 24 hours."


class NotRefundable(DomainError):
    code = "not_refundable"
    detail = "This payment took nothing that could be given back."


class MoreThanTaken(DomainError):
    """A refund of more than is left of the payment."""

    code = "more_than_taken"

    def __init__(self, refundable_minor: int, tip_refundable_minor: int, *, field: str) -> None:
        super().__init__(
            "This is more than is left of the payment.",
            field=field,
            refundable_minor=refundable_minor,
            tip_refundable_minor=tip_refundable_minor,
        )


class RefundIdReused(DomainError):
    status = 422
    code = "refund_id_reused"
    detail = "This id names another refund already."


class NoSuchRefund(NotFound):
    code = "no_such_refund"
    detail = "There is no such refund here."


class ApprovalNeeded(DomainError):
    """Above the restaurant's limit a second person, a manager, approves."""

    status = 403
    code = "approval_needed"

    def __init__(self, limit_minor: int) -> None:
        super().__init__(
            "A refund of this much needs a manager other than you to approve it.",
            field="approval",
            limit_minor=limit_minor,
        )


class PaymentDisputed(DomainError):
    code = "payment_disputed"
    detail = "The guest's bank has asked for this payment back: answer the dispute, do not refund it."


class ItemNotRefundable(InvalidInput):
    code = "item_not_refundable"


class AccountLeft(DomainError):
    code = "account_left"
    detail = "Fynlo has no access to this account any more: connect it again, or refund at the provider."


class AccountInUse(DomainError):
    code = "account_in_use"
    detail = "A payment or refund is under way with this account: disconnect it once that is over."


class ConsentInvalid(InvalidInput):
    """What came back from the provider's page of consent is not what was begun here, or not just now."""

    code = "consent_invalid"


class CredentialsInvalid(InvalidInput):
    code = "credentials_invalid"


class CredentialsRefused(DomainError):
    """The provider was asked, and does not take these credentials."""

    status = 422
    code = "credentials_refused"
