"""`carerelay rules`: explains the handoff rules, lists what a rule may name, and writes the file of a new rule.

Owns the commands and their options. Must not know what a rule means: each agent explains its own rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from agents.coordination.reference.directory import Directory
from agents.coordination.rules.catalogue import Catalogue
from agents.coordination.rules.explain import explain, explain_change
from agents.coordination.rules.loading import DIRECTORY, RULES, files_of, load_catalogue, load_directory, load_value_sets
from agents.coordination.rules.references import notes
from agents.coordination.rules.template import new_rule
from agents.coordination.rules.vocabulary import Row, list_codes, list_facts, list_groups
from agents.feeds.agent import load_rule
from agents.feeds.explain import explain as explain_feeds
from streams.base.settings import Settings
from streams.cli.exits import Exit, UserError, say
from streams.cli.options import AsJson
from streams.cli.shared import changed, settings_of, write_out
from streams.contract.suggestions import did_you_mean
from streams.output.lines import write_line

T = TypeVar("T")

rules_app = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path | None, typer.Option("--rules", help="Folder of rules to use instead of the built-in ones.", show_default=False)]
Name = Annotated[str, typer.Argument(help="Show only this one, or those whose name contains it.", metavar="[NAME]", show_default=False)]


@rules_app.command("list")
def rules_list(folder: Folder = None, as_json: AsJson = False) -> None:
    """List the rules: id, profiles in which the rule applies, title."""
    feeds = load_rule()
    rows: list[Row] = [
        {"id": r.id, "version": r.version, "profiles": list(r.profiles), "title": r.title, "source": r.source}
        for r in _catalogue(_settings(folder)).rules.values()
    ]
    rows.append({"id": feeds.id, "version": feeds.version, "profiles": [], "title": feeds.title, "source": feeds.source})
    _show(rows, lambda row: [f"{row['id']:8} {', '.join(row['profiles']) or 'all':8} {row['title']}"], as_json=as_json)


@rules_app.command("show")
def rules_show(rule: Annotated[str, typer.Argument(help="Id of a rule, for example TCM-1.")], folder: Folder = None) -> None:
    """Explain a rule: what opens it, who is accountable, when it is due, what closes it."""
    feeds = load_rule()
    if rule.upper() == feeds.id:
        typer.echo(explain_feeds(feeds))
        return
    catalogue = _catalogue(_settings(folder))
    rules, named = catalogue.rules, rule.upper()
    if named not in rules:
        known = [*rules, feeds.id]
        raise UserError(f"there is no rule {rule}: write one of {', '.join(known)}{did_you_mean(rule, known, most=3)}")
    typer.echo(explain(rules[named]))
    for overlay, changed_rule in catalogue.changes_of(named):
        typer.echo(explain_change(rules[named], changed_rule, overlay))


@rules_app.command("check")
def rules_check(
    path: Annotated[
        Path | None, typer.Argument(help="Folder of rules, or a file in it; default: the rules in use.", show_default=False)
    ] = None,
    folder: Folder = None,
) -> None:
    """Load the rules as a worker would. If one is wrong, name its file, rule and field, and exit with 1.

    The first mistake of each file is reported. Notes on standard error name what is probably a mistake but does not stop a worker.
    """
    if path is not None and folder is not None:
        raise UserError("the folder of rules is given twice: write it once, as an argument or with --rules")
    settings = _settings(_folder_of(path) if path is not None else folder)
    try:
        catalogue, directory = _catalogue(settings), _directory(settings)
    except UserError as error:
        raise UserError(str(error), Exit.WRONG) from None
    for note in notes(catalogue, directory, files_of(settings.rules or RULES)):
        say(f"note: {note}")
    typer.echo(f"rules that can be used: {len(catalogue.rules)}")


@rules_app.command("facts")
def rules_facts(name: Name = "", folder: Folder = None, as_json: AsJson = False) -> None:
    """List the facts that a condition may use: meaning, kind, values, an example."""
    settings = _settings(folder)
    rows = _named(list_facts(_catalogue(settings), load_value_sets(settings.rules or RULES).groups), "fact", name)

    def lines(row: Row) -> Iterable[str]:
        yield f"{row['fact']:28} {row['meaning']}"
        yield f"{'':28}   {', '.join(row['values']) or row['kind']}; for example {row['example']}"
        if row["listed"]:
            yield f"{'':28}   values: {row['listed']}"
        if row["events"]:
            yield f"{'':28}   known for {', '.join(row['events'])}{row['besides']}"

    _show(rows, lines, as_json=as_json)


@rules_app.command("codes")
def rules_codes(name: Name = "", folder: Folder = None, as_json: AsJson = False) -> None:
    """List the codes that a rule may name: events, care activities, statuses, closures, roles, units."""
    settings = _settings(folder)
    rows = list_codes(_catalogue(settings), _directory(settings))
    kinds = {name, name.removesuffix("s"), f"{name.removesuffix('ies')}y"}
    of_kind = [row for row in rows if row["kind"] in kinds] or [row for row in rows if kinds & set(row["kind"].split(" of "))]
    _show(
        of_kind or _named(rows, "code", name), lambda row: [f"{row['kind']:32} {row['code']:28} {row['meaning']}".rstrip()], as_json=as_json
    )


@rules_app.command("groups")
def rules_groups(name: Name = "", folder: Folder = None, as_json: AsJson = False) -> None:
    """List the groups of diagnoses. With a NAME, also show their codes and the source."""
    rows = _named(list_groups(load_value_sets(_settings(folder).rules or RULES)), "group", name)

    def lines(row: Row) -> Iterable[str]:
        yield f"{row['group']:40} {row['title']}"
        if name:
            yield f"  ICD-10 codes that begin with {', '.join(row['codes'])}"
            if row["except"]:
                yield f"  but not with {', '.join(row['except'])}"
            yield f"  source: {row['source']}"

    _show(rows, lines, as_json=as_json)


@rules_app.command("new")
def rules_new(
    id_: Annotated[str, typer.Argument(help="Id of the new rule, for example HF-24.", metavar="ID")],
    folder: Annotated[
        Path | None, typer.Option("--rules", help="Folder to write it into; default: the current folder.", show_default=False)
    ] = None,
) -> None:
    """Write the file of a new rule, with a comment for each field. The file loads without changes."""
    try:
        text = new_rule(id_)
    except ValueError as error:
        raise UserError(str(error)) from None
    path = (folder or Path()) / f"{id_}.yaml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path} already exists: choose another id, or edit that file") from None
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None
    if id_ in load_catalogue().rules:
        say(f"note: {id_} is the id of a built-in rule; choose another id unless this rule replaces it in a folder of your own")
    typer.echo(f"Written: {path}. Edit it, then run: carerelay rules check {path.parent}")


def _settings(folder: Path | None) -> Settings:
    return changed(settings_of(), rules=folder)


def _folder_of(path: Path) -> Path:
    """Return the folder of rules that *path* is, or that the file *path* is in: beside the rules, or in `overlays` or `valuesets`."""
    if not path.is_file():
        return path
    return path.parent.parent if path.parent.name in {"overlays", "valuesets"} else path.parent


def _catalogue(settings: Settings) -> Catalogue:
    rules = settings.rules or RULES
    if not rules.is_dir():
        raise UserError(f"{rules} is not a folder")
    return _loaded(load_catalogue, rules)


def _directory(settings: Settings) -> Directory:
    return _loaded(load_directory, settings.directory or DIRECTORY)


def _loaded(load: Callable[[Path], T], path: Path) -> T:
    try:
        return load(path)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None


def _named(rows: list[Row], field: str, name: str) -> list[Row]:
    """Return the row named *name*, else the rows whose name contains it, else those whose description does.

    Raises UserError if there is none.
    """
    found = [row for row in rows if row[field] == name]
    for fields in ([field], ["meaning", "title"]):
        found = found or [row for row in rows if any(name.lower() in row.get(other, "").lower() for other in fields)]
    if not found:
        raise UserError(f"there is no {field} {name}{did_you_mean(name, {row[field] for row in rows}, most=3)}")
    return found


def _show(rows: Iterable[Row], lines: Callable[[Row], Iterable[str]], *, as_json: bool) -> None:
    if as_json:
        write_out(map(write_line, rows))
        return
    for row in rows:
        for line in lines(row):
            typer.echo(line)
