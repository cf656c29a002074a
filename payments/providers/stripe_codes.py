"""What Stripe's refusals mean to us, in one table, and the network's failures.

https://docs.stripe.com/declines/codes (cards) and https://docs.stripe.com/error-codes. What is in no
table: a 402 is a decline, another 4xx that Stripe explains is our mistake, all else is unknown.
"""

from typing import Any

import requests
import stripe
import urllib3

from .errors import Declined, InvalidRequest, Misconfigured, NotSent, ProviderError, Retryable, UnknownOutcome

# `decline_code` of a card: may the same card work later, or in another way (a PIN, a retyped number)?
DECLINE_IS_SOFT: dict[str, bool] = {
    "approve_with_id": True,
    "authentication_not_handled": True,
    "authentication_required": True,
    "call_issuer": False,
    "card_not_supported": False,
    "card_velocity_exceeded": True,
    "currency_not_supported": False,
    "do_not_honor": False,
    "do_not_try_again": False,
    "duplicate_transaction": False,
    "expired_card": False,
    "fraudulent": False,
    "generic_decline": False,
    "incorrect_address": True,
    "incorrect_cvc": True,
    "incorrect_number": True,
    "incorrect_pin": True,
    "incorrect_zip": True,
    "insufficient_funds": True,
    "invalid_account": False,
    "invalid_amount": False,
    "invalid_cvc": True,
    "invalid_expiry_month": True,
    "invalid_expiry_year": True,
    "invalid_number": True,
    "invalid_pin": True,
    "issuer_not_available": True,
    "lost_card": False,
    "merchant_blacklist": False,
    "mobile_device_authentication_required": True,
    "new_account_information_available": False,
    "no_action_taken": False,
    "not_permitted": False,
    "offline_pin_required": True,
    "online_or_offline_pin_required": True,
    "pickup_card": False,
    "pin_try_exceeded": False,
    "processing_error": True,
    "reenter_transaction": True,
    "restricted_card": False,
    "revocation_of_all_authorizations": False,
    "revocation_of_authorization": False,
    "security_violation": False,
    "service_not_allowed": False,
    "stolen_card": False,
    "stop_payment_order": False,
    "testmode_decline": False,
    "transaction_not_allowed": False,
    "try_again_later": True,
    "withdrawal_count_limit_exceeded": True,
}

# `code` of an error: all that Stripe's library knows. Definite refusals of a refund are declines, too; a
# reader that timed out or broke may have read the card by then. Most cannot come of what we ask for.
CODE_CLASSES: dict[type[ProviderError], frozenset[str]] = {
    Declined: frozenset(
        {
            "approval_required",
            "authentication_failure",
            "authentication_required",
            "balance_insufficient",
            "bank_account_declined",
            "card_decline_rate_limit_exceeded",
            "card_declined",
            "charge_already_refunded",
            "charge_disputed",
            "charge_exceeds_source_limit",
            "charge_exceeds_transaction_limit",
            "charge_not_refundable",
            "debit_not_authorized",
            "expired_card",
            "expired_payment_method",
            "incorrect_address",
            "incorrect_cvc",
            "incorrect_number",
            "incorrect_postal_code",
            "incorrect_zip",
            "insufficient_funds",
            "invalid_card_type",
            "invalid_cvc",
            "invalid_expiry_month",
            "invalid_expiry_year",
            "invalid_number",
            "payment_intent_action_required",
            "payment_intent_authentication_failure",
            "payment_intent_payment_attempt_expired",
            "payment_intent_payment_attempt_failed",
            "payment_method_bank_account_blocked",
            "payment_method_customer_decline",
            "payment_method_not_available",
            "payment_method_provider_decline",
            "payment_method_provider_timeout",
            "payment_method_restricted",
            "processing_error",
            "refer_to_customer",
            "refund_disputed_payment",
        }
    ),
    Retryable: frozenset(
        {
            "lock_timeout",
            "payment_intent_rate_limit_exceeded",
            "rate_limit",
            "terminal_reader_busy",
            "terminal_reader_offline",
        }
    ),
    UnknownOutcome: frozenset(
        {
            "idempotency_key_in_use",
            "terminal_reader_hardware_fault",
            "terminal_reader_timeout",
        }
    ),
    Misconfigured: frozenset(
        {
            "account_closed",
            "account_invalid",
            "action_blocked",
            "api_key_expired",
            "application_fees_not_allowed",
            "capability_not_active",
            "country_unsupported",
            "livemode_mismatch",
            "not_allowed_on_standard_account",
            "payment_method_configuration_failures",
            "payment_method_unactivated",
            "platform_account_required",
            "platform_api_key_expired",
            "request_blocked",
            "secret_key_required",
            "storer_capability_missing",
            "storer_capability_not_active",
            "terminal_location_country_unsupported",
            "terminal_reader_invalid_location_for_activation",
            "terminal_reader_invalid_location_for_payment",
            "testmode_charges_only",
            "tls_version_unsupported",
            "transfers_not_allowed",
        }
    ),
    InvalidRequest: frozenset(
        {
            "account_country_invalid_address",
            "account_error_country_change_requires_additional_steps",
            "account_information_mismatch",
            "account_number_invalid",
            "account_token_required_for_v2_account",
            "acss_debit_session_incomplete",
            "alipay_upgrade_required",
            "amount_too_large",
            "amount_too_small",
            "anomalous_money_movement_request",
            "balance_invalid_parameter",
            "bank_account_bad_routing_numbers",
            "bank_account_exists",
            "bank_account_restricted",
            "bank_account_unusable",
            "bank_account_unverified",
            "bank_account_verification_failed",
            "billing_invalid_mandate",
            "bitcoin_upgrade_required",
            "capture_charge_authorization_expired",
            "capture_unauthorized_payment",
            "cardholder_phone_number_required",
            "charge_already_captured",
            "charge_expired_for_capture",
            "charge_invalid_parameter",
            "clearing_code_unsupported",
            "country_code_invalid",
            "coupon_expired",
            "customer_max_payment_methods",
            "customer_max_subscriptions",
            "customer_session_expired",
            "customer_tax_location_invalid",
            "email_invalid",
            "failed_tax_calculation",
            "financial_account_balance_does_not_support_currency",
            "financial_account_capability_not_enabled",
            "financial_account_capability_restricted",
            "financial_connections_account_inactive",
            "financial_connections_account_pending_account_numbers",
            "financial_connections_account_unavailable_account_numbers",
            "financial_connections_no_successful_transaction_refresh",
            "forwarding_api_inactive",
            "forwarding_api_invalid_parameter",
            "forwarding_api_retryable_upstream_error",
            "forwarding_api_upstream_connection_error",
            "forwarding_api_upstream_connection_timeout",
            "forwarding_api_upstream_error",
            "india_recurring_payment_mandate_canceled",
            "instant_payouts_config_disabled",
            "instant_payouts_currency_disabled",
            "instant_payouts_limit_exceeded",
            "instant_payouts_unsupported",
            "intent_invalid_state",
            "intent_verification_method_missing",
            "invalid_canceled_subscription_fields",
            "invalid_characters",
            "invalid_charge_amount",
            "invalid_mandate_reference_prefix_format",
            "invalid_source_usage",
            "invalid_tax_location",
            "invoice_no_customer_line_items",
            "invoice_no_payment_method_types",
            "invoice_no_subscription_line_items",
            "invoice_not_editable",
            "invoice_on_behalf_of_not_editable",
            "invoice_payment_intent_requires_action",
            "invoice_upcoming_none",
            "missing",
            "no_account",
            "out_of_inventory",
            "ownership_declaration_not_allowed",
            "parameter_invalid_empty",
            "parameter_invalid_integer",
            "parameter_invalid_string_blank",
            "parameter_invalid_string_empty",
            "parameter_missing",
            "parameter_unknown",
            "parameters_exclusive",
            "payment_intent_incompatible_payment_method",
            "payment_intent_invalid_parameter",
            "payment_intent_konbini_rejected_confirmation_number",
            "payment_intent_mandate_invalid",
            "payment_intent_unexpected_state",
            "payment_method_bank_account_already_verified",
            "payment_method_billing_details_address_missing",
            "payment_method_currency_mismatch",
            "payment_method_invalid_parameter",
            "payment_method_invalid_parameter_testmode",
            "payment_method_microdeposit_failed",
            "payment_method_microdeposit_processing_error",
            "payment_method_microdeposit_verification_amounts_invalid",
            "payment_method_microdeposit_verification_amounts_mismatch",
            "payment_method_microdeposit_verification_attempts_exceeded",
            "payment_method_microdeposit_verification_descriptor_code_mismatch",
            "payment_method_microdeposit_verification_timeout",
            "payment_method_unexpected_state",
            "payment_method_unsupported_type",
            "payout_reconciliation_not_ready",
            "payouts_limit_exceeded",
            "payouts_not_allowed",
            "postal_code_invalid",
            "product_inactive",
            "progressive_onboarding_limit_exceeded",
            "resource_already_exists",
            "resource_missing",
            "return_intent_already_processed",
            "routing_number_invalid",
            "sepa_unsupported_account",
            "service_period_coupon_with_metered_tiered_item_unsupported",
            "setup_attempt_failed",
            "setup_intent_authentication_failure",
            "setup_intent_invalid_parameter",
            "setup_intent_mandate_invalid",
            "setup_intent_mobile_wallet_unsupported",
            "setup_intent_setup_attempt_expired",
            "setup_intent_unexpected_state",
            "shipping_address_invalid",
            "shipping_calculation_failed",
            "siret_invalid",
            "sku_inactive",
            "state_unsupported",
            "status_transition_invalid",
            "stripe_tax_inactive",
            "tax_id_invalid",
            "tax_id_prohibited",
            "taxes_calculation_failed",
            "token_already_used",
            "token_card_network_invalid",
            "token_in_use",
            "transfer_source_balance_parameters_mismatch",
            "url_invalid",
        }
    ),
}

CLASS_OF_CODE: dict[str, type[ProviderError]] = {
    code: error_class for error_class, codes in CODE_CLASSES.items() for code in codes
}
SOFT_CODES = frozenset({"balance_insufficient", "payment_intent_authentication_failure"})

# Stripe looks at these before anything else, so a request that met one of them was not carried out.
CLASS_OF_STATUS: dict[int, type[ProviderError]] = {
    401: Misconfigured,
    402: Declined,
    403: Misconfigured,
    429: Retryable,
}

NOT_CONNECTED = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


def is_decline(code: str, decline_code: str) -> bool:
    return decline_code in DECLINE_IS_SOFT or CLASS_OF_CODE.get(code) is Declined


def translate(error: stripe.StripeError) -> ProviderError:
    """The same failure in the payment machine's terms."""
    if isinstance(error, stripe.APIConnectionError):
        return _network_failure(error)
    body = error.error.to_dict() if error.error else {}
    code = body.get("code") or error.code or ""
    known: dict[str, Any] = {
        "code": body.get("decline_code") or code,
        "status": error.http_status,
        "request_id": error.request_id or "",
    }
    error_class = _class_of(error, body, code)
    message = error.user_message or "Stripe gave no reason."
    if error_class is Declined:
        is_soft = DECLINE_IS_SOFT.get(known["code"], known["code"] in SOFT_CODES)
        return Declined(message, is_soft=is_soft, **known)
    if error_class is Retryable:
        return Retryable(message, retry_after=_retry_after(error), **known)
    return error_class(message, **known)


def _class_of(error: stripe.StripeError, body: dict[str, Any], code: str) -> type[ProviderError]:
    status = error.http_status or 0
    if isinstance(error, stripe.IdempotencyError) or not body:
        return UnknownOutcome  # the key stands for something else that was done; or no answer of Stripe's
    if status in CLASS_OF_STATUS:
        return CLASS_OF_STATUS[status]
    if status == 409 and code == "lock_timeout":
        return Retryable
    if status in (400, 404):
        return CLASS_OF_CODE.get(code, InvalidRequest)
    return UnknownOutcome


def _network_failure(error: stripe.APIConnectionError) -> ProviderError:
    """A refused connection and an unknown name are certain; a broken or silent one is not."""
    message = str(error.user_message or error)
    cause = error.__cause__
    if isinstance(cause, requests.exceptions.ConnectTimeout):
        return NotSent(message, code="connect_timeout")
    if isinstance(cause, requests.exceptions.ConnectionError):
        reason = getattr(cause.args[0], "reason", None) if cause.args else None
        if isinstance(reason, NOT_CONNECTED):
            return NotSent(message, code="not_connected")
    is_timeout = isinstance(cause, requests.exceptions.Timeout)
    return UnknownOutcome(message, code="timeout" if is_timeout else "connection_broken")


def _retry_after(error: stripe.StripeError) -> float:
    try:
        return max(float((error.headers or {}).get("retry-after", 1.0)), 0.0)
    except ValueError:
        return 1.0
