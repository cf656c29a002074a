"""manage.py import_menu: load a menu from CSV."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from fynlo.tenancy.scope import restaurant_scope
from restaurants.directory import restaurant_by_slug
from restaurants.menu_csv import MenuFile, UnusableFile, read_menu_file
from restaurants.models import Restaurant
from restaurants.services import ImportReport, import_menu

MISCONFIGURED, LINES_BAD = 2, 3


class Command(BaseCommand):
    help = (
        "Load a restaurant's menu from CSV (docs/menu-csv.md). Every bad line is reported; the good ones "
        "are loaded. Exits 0, 3 if lines were bad, 2 if there is no such restaurant or no such menu."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="CSV in UTF-8 with a header")
        parser.add_argument("--restaurant", required=True, metavar="SLUG_OR_ID")
        parser.add_argument("--strict", action="store_true", help="load nothing if any line is bad")
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
        parser.add_argument(
            "--create-missing", action="store_true", help="make stations and tax classes that are not there"
        )
        parser.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        restaurant_id = _restaurant_id(options["restaurant"])
        with restaurant_scope(restaurant_id):
            currency = Restaurant.objects.values_list("currency", flat=True).filter(pk=restaurant_id).first()
        if currency is None:
            raise CommandError(f"There is no restaurant {restaurant_id}.", returncode=MISCONFIGURED)
        menu = _read(options["file"], currency)
        with restaurant_scope(restaurant_id):
            report = import_menu(menu, strict=options["strict"], create_missing=options["create_missing"])
            if options["dry_run"]:
                transaction.set_rollback(True)
        if options["json"]:
            outcome = {"restaurant": restaurant_id, "dry_run": options["dry_run"], **report.as_dict}
            self.stdout.write(json.dumps(outcome, ensure_ascii=False))
        else:
            self._print(report, options["dry_run"])
        if report.bad_lines:
            sys.exit(LINES_BAD)

    def _print(self, report: ImportReport, dry_run: bool) -> None:
        for bad in report.bad_lines:
            self.stderr.write(f"line {bad.line}: {'; '.join(bad.reasons)}")
        for what, names in report.made.items():
            if names:
                self.stdout.write(f"New {what.replace('_', ' ')}: {', '.join(names)}")
        if untaxed := report.made.get("tax_classes"):
            self.stdout.write(f"Give {', '.join(untaxed)} a tax rate: until then nothing of it can be sold.")
        if not report.is_loaded:
            self.stdout.write(f"{len(report.bad_lines)} bad lines: nothing was loaded.")
            return
        self.stdout.write(
            f"{'Would be' if dry_run else 'Items'} created {report.created}, updated {report.updated}, "
            f"unchanged {report.unchanged}; lines bad {len(report.bad_lines)}."
        )


def _restaurant_id(slug_or_id: str) -> int:
    if slug_or_id.isdecimal() and len(slug_or_id) <= 9:
        return int(slug_or_id)
    restaurant_id = restaurant_by_slug(slug_or_id)
    if restaurant_id is None:
        raise CommandError(f"There is no restaurant {slug_or_id!r}.", returncode=MISCONFIGURED)
    return restaurant_id


def _read(path: str, currency: str) -> MenuFile:
    try:
        return read_menu_file(Path(path).read_bytes(), currency)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", returncode=MISCONFIGURED) from error
    except UnusableFile as error:
        raise CommandError(f"{path}: {error}", returncode=MISCONFIGURED) from error
