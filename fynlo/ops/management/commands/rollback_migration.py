"""Take migrations back: `manage.py rollback_migration APP NAME --confirm`."""

from typing import Any

from django.core.management.base import CommandParser

from fynlo.ops.command import OpsCommand, Outcome, only_one
from fynlo.ops.schema import migrate
from fynlo.ops.schema.plan import label
from fynlo.ops.schema.verify import catalogue_problems


class Command(OpsCommand):
    help = (
        "Goes back to the migration NAME of APP, which stays applied, as DB_ROLE=migrator. Seldom right: a "
        "release is rolled back without its schema, because expand migrations suit the one before. Refuses "
        "what cannot be undone. Without --confirm it only says what it would do. Exit codes: 0 done, 2 usage "
        "or no backup possible, 4 another run is under way, 5 refused as unsafe, 6 no database, 75 no lock "
        "to be had."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("app")
        parser.add_argument(
            "name", help="The migration to be at afterwards; a beginning of its name will do."
        )
        parser.add_argument("--confirm", action="store_true", help="Do it.")
        parser.add_argument("--lock-timeout", default="2s")

    def run(self, *, app: str, name: str, confirm: bool, **options: Any) -> Outcome:
        migrate.refuse_other_login()
        with only_one("migrate"):
            plan = migrate.way_back(app, name)
            names = [label(migration) for migration in plan]
            data: dict[str, Any] = {"taken_back": names, "backup": ""}
            if not plan:
                return Outcome(f"{app} is at {name} already.", data)
            if not confirm:
                for found in names:
                    self.say(f"would take back {found}")
                told = f"Would take back {len(names)} migrations. Repeat with --confirm to do it."
                return Outcome(told, {**data, "taken_back": [], "would_take_back": names})
            data["backup"] = migrate.back_up_first(self.say)
            migrate.unapply(plan, lock_timeout=options["lock_timeout"], say=self.say)
        for problem in catalogue_problems():
            self.say(problem)
        return Outcome(f"{len(names)} migrations taken back: {', '.join(names)}.", data)
