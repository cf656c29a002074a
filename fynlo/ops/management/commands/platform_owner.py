"""Make somebody a platform owner: `manage.py platform_owner EMAIL`; seal their second factors: `--reseal`."""

import base64
import getpass
import json
import os
import sys
from pathlib import Path
from typing import Any

import qrcode
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import OperationalError

from accounts.models import Authenticator, User
from accounts.services import make_platform_owner, reseal_authenticators
from fynlo.ops.command import Exit


class Command(BaseCommand):
    help = (
        "Makes or updates a platform owner, who signs in to the platform console with a password and a code "
        "from an authenticator app. The password comes from PLATFORM_OWNER_PASSWORD, from the file that "
        "PLATFORM_OWNER_PASSWORD_FILE names, or from a prompt; an owner who has one keeps it otherwise. "
        "Prints the secret of the second factor when it is new. With --reseal and no address: put a new key "
        "first in PLATFORM_OWNER_SECRET_KEY, restart, run this, take the old one out. Exit codes: 0 done, "
        "2 wrong input or configuration, 3 a second factor opens with none of the keys, 6 no database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", nargs="?", default="")
        parser.add_argument("--new-device", action="store_true", help="Replace the second factor.")
        parser.add_argument(
            "--reseal", action="store_true", help="Seal all second factors with the first of the keys."
        )
        parser.add_argument("--json", action="store_true", help="Print the outcome as JSON.")

    def handle(self, *, email: str, new_device: bool, reseal: bool, **options: Any) -> None:
        if settings.DB_ROLE != "platform":
            raise CommandError("This needs the platform's login: DB_ROLE=platform.", returncode=Exit.USAGE)
        if reseal:
            if email or new_device:
                raise CommandError("--reseal goes with nothing else.", returncode=Exit.USAGE)
            self._reseal(as_json=options["json"])
            return
        try:
            validate_email(email)
            user = User.objects.filter(email_lower=email.lower()).first()
            password = self._password(user)
            had_device = Authenticator.objects.filter(user=user, confirmed=True).exists() and not new_device
            user, device = make_platform_owner(email, password=password, new_device=new_device)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages), returncode=Exit.USAGE) from error
        except OperationalError as error:
            raise CommandError(
                f"The database does not answer: {error}", returncode=Exit.UNREACHABLE
            ) from error
        outcome: dict[str, Any] = {"email": user.email, "password_set": bool(password)}
        if not had_device:  # shown this once
            outcome["secret"] = base64.b32encode(device.bin_key).decode().rstrip("=")
            outcome["otpauth_url"] = device.config_url
        self._report(outcome, as_json=options["json"])

    def _reseal(self, *, as_json: bool) -> None:
        try:
            outcome = reseal_authenticators()
        except OperationalError as error:
            raise CommandError(
                f"The database does not answer: {error}", returncode=Exit.UNREACHABLE
            ) from error
        sealed, current, broken = outcome["sealed"], outcome["current"], outcome["broken"]
        told = f"{sealed} sealed anew, {current} were already, {len(broken)} cannot be opened."
        self.stdout.write(json.dumps(outcome) if as_json else told)
        if broken:
            sys.exit(Exit.CHECK_FAILED)

    def _password(self, user: User | None) -> str:
        path = os.environ.get("PLATFORM_OWNER_PASSWORD_FILE", "")
        password = os.environ.get("PLATFORM_OWNER_PASSWORD", "")
        if not password and path:
            password = Path(path).read_text().strip()
        if not password and not (user and user.has_usable_password()):
            if not sys.stdin.isatty():
                raise CommandError("Set PLATFORM_OWNER_PASSWORD.", returncode=Exit.USAGE)
            password = getpass.getpass("Password: ")
            if password != getpass.getpass("The same again: "):
                raise CommandError("These are not the same.", returncode=Exit.USAGE)
        if password:
            validate_password(password, user)
        return password

    def _report(self, outcome: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(outcome))
            return
        done = "has a new password" if outcome["password_set"] else "keeps the password"
        self.stdout.write(f"{outcome['email']} is a platform owner and {done}.")
        if "secret" not in outcome:
            self.stdout.write("The second factor is the one that was there; --new-device replaces it.")
            return
        code = qrcode.QRCode(border=1)
        code.add_data(outcome["otpauth_url"])
        code.print_ascii(out=self.stdout)
        self.stdout.write(
            "Scan this with an authenticator app, or type the secret in. It is shown this once."
        )
        self.stdout.write(f"Secret: {outcome['secret']}\nURL: {outcome['otpauth_url']}")
