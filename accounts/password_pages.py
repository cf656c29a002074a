"""The page behind a set-password link (see `password_link`)."""

from django.contrib.auth.views import PasswordResetConfirmView


class SetPasswordView(PasswordResetConfirmView):
    template_name = "accounts/set_password.html"
    success_url = "/admin/"
    title = "Set your password"
