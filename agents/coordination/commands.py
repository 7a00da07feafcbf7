"""`carerelay rules list|show|check`: the handoff rules in plain words, from their data.

Owns the three verbs. What a rule means in words is said where the rules are; nothing here knows one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from agents.coordination.rules.catalogue import Catalogue
from agents.coordination.rules.explain import explain, explain_change
from agents.coordination.rules.loading import RULES, load_catalogue
from agents.feeds.agent import load_rule
from agents.feeds.explain import explain as explain_feeds
from streams.cli.exits import Exit, UserError
from streams.cli.options import AsJson
from streams.cli.shared import changed, settings_of, write_out
from streams.output.lines import write_line

rules_app = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path | None, typer.Option("--rules", help="Folder of rules instead of the ones that come with it.", show_default=False)]


@rules_app.command("list")
def rules_list(folder: Folder = None, as_json: AsJson = False) -> None:
    """List the rules: id, the profiles in which it holds (none: in all), title."""
    feeds = load_rule()
    rows: list[dict[str, Any]] = [
        {"id": r.id, "version": r.version, "profiles": list(r.profiles), "title": r.title, "source": r.source}
        for r in _catalogue(folder).rules.values()
    ]
    rows.append({"id": feeds.id, "version": feeds.version, "profiles": [], "title": feeds.title, "source": feeds.source})
    if as_json:
        write_out(map(write_line, rows))
    else:
        for row in rows:
            typer.echo(f"{row['id']:8} {', '.join(row['profiles']) or 'all':8} {row['title']}")


@rules_app.command("show")
def rules_show(rule: Annotated[str, typer.Argument(help="Id of a rule, as TCM-1.")], folder: Folder = None) -> None:
    """Explain a rule: what opens it, whose it is, until when, what happens meanwhile, what ends it."""
    feeds = load_rule()
    if rule.upper() == feeds.id:
        typer.echo(explain_feeds(feeds))
        return
    catalogue = _catalogue(folder)
    rules, named = catalogue.rules, rule.upper()
    if named not in rules:
        raise UserError(f"there is no rule {rule}: there are {', '.join([*rules, feeds.id])}")
    typer.echo(explain(rules[named]))
    for overlay, changed_rule in catalogue.changes_of(named):
        typer.echo(explain_change(rules[named], changed_rule, overlay))


@rules_app.command("check")
def rules_check(
    folder: Annotated[Path | None, typer.Argument(help="Folder; default: what is in use.", show_default=False)] = None,
) -> None:
    """Load the rules as a worker would; exit 1 with file, rule and field where one can't be used."""
    try:
        count = len(_catalogue(folder).rules)
    except UserError as error:
        raise UserError(str(error), Exit.WRONG) from None
    typer.echo(f"{count} rules can be used")


def _catalogue(folder: Path | None) -> Catalogue:
    rules = changed(settings_of(), rules=folder).rules or RULES
    if not rules.is_dir():
        raise UserError(f"{rules} is no folder")
    try:
        return load_catalogue(rules)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None
