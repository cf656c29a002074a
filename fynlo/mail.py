"""Mail where no mail service is configured."""

from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend


class MailNotConfigured(OSError):
    """RESEND_API_KEY is not set: nothing is sent, and nothing pretends to be."""


class EmailBackend(BaseEmailBackend):
    """In production without a mail service: refuses. Printing mails would put guests into the logs."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        raise MailNotConfigured("Mail is not configured: RESEND_API_KEY is not set.")
