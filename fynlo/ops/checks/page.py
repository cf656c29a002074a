"""deploy/CHECKLIST.md, made from the checks."""

from . import Checklist
from .after import AFTER
from .before import BEFORE

HEAD = """\
# Checklist of a release

Made from `fynlo/ops/checks/`: change the checks there, then run
`.venv/bin/python manage.py check_deploy --page >deploy/CHECKLIST.md`.
Each box is one named check of a command, which says pass, fail or skip, and `--json` for machines. Boxes with
`--confirm` only a person can tick. `deploy/bin/deploy.sh` runs both commands by itself.
"""


def render() -> str:
    parts = [
        HEAD,
        _section("Before: `manage.py check_deploy`", BEFORE),
        _section("After: `manage.py verify_deployment --base-url URL --expect-version V`", AFTER),
    ]
    return "\n".join(parts)


def _section(title: str, checklist: Checklist) -> str:
    lines = [f"## {title}", ""]
    for item in checklist.items:
        how = f"`{item.name}`" if item.look else f"`--confirm {item.name}`"
        lines.append(f"- [ ] {item.title} ({how})")
    return "\n".join([*lines, ""])
