"""The pages of `--help` and usage errors, in the current language and wrapped by terminal columns.

Typer has only English texts and counts a Chinese character as one column. Its texts are translated here, at the two
places where they leave it: `HelpPage` formats help, `sentence_of` translates error messages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from thalweg._pointing import columns_of
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence

WIDEST = 120  # columns of a help page, even on a wider terminal
_FIRST_COLUMN = 30  # columns for names and options; the text of a longer one starts on the next line

# Since 0.2x, Typer has its own copy of click's errors; this is their root in every version.
WrongUse: type[Exception] = typer.BadParameter.__bases__[0]

_HEADINGS = {"Arguments": "cli.arguments", "Options": "cli.options", "Commands": "cli.commands"}
_USAGE = {"COMMAND": "cli.usage_command", "[ARGS]...": "cli.usage_arguments", "[OPTIONS]": "cli.usage_options"}
_TYPES = {"str": "cli.type_text", "int": "cli.type_integer", "float": "cli.type_number", "path": "cli.type_path"}
_SHOW_HELP = "Show this message and exit."

# The framework's sentences, in matching order. Groups fill the placeholders of the translation.
_SENTENCES = [
    (r"No such option: (?P<option>\S+) \(Possible options: (?P<nearest>.*)\)", "cli.no_such_option_near"),
    (r"No such option: (?P<option>\S+)", "cli.no_such_option"),
    (r"No such command '(?P<command>.*)'\. Did you mean (?P<nearest>.*)\?", "cli.no_such_command_near"),
    (r"No such command '(?P<command>.*)'\.", "cli.no_such_command"),
    (r"Missing command\.", "cli.missing_command"),
    (r"Missing argument '(?P<name>.*)'\.", "cli.missing_argument"),
    (r"Missing option '(?P<name>.*)'\.", "cli.missing_option"),
    (r"Invalid value for (?P<name>'.*?'): (?P<reason>.*)", "cli.invalid_value"),
    (r"Option '(?P<option>.*)' requires an argument\.", "cli.option_needs_value"),
    (r"Option '(?P<option>.*)' does not take a value\.", "cli.option_takes_no_value"),
    (r"Got unexpected extra arguments?(?:\(s\))? \((?P<extra>.*)\)", "cli.extra_arguments"),
    (r"Input should be a valid integer.*", "cli.not_an_integer"),
    (r"Input should be a valid number.*", "cli.not_a_number"),
    (r"Input should be greater than or equal to (?P<least>.*)", "cli.too_small"),
    (r"Input should be less than or equal to (?P<most>.*)", "cli.too_large"),
    (r"(?P<value>'.*') is not one of (?P<known>.*)\.", "cli.not_one_of"),
]

# Options of 0.1.0 that have another name now.
_RENAMED = {
    "--clip": "--clip-grad-norm",
    "--fit": "--resize stretch|center-crop",
    "--keep-epochs": "--save-every-epoch",
    "--prove": "--try-fix",
    "--rules": "--optimizers",
    "--select": "--keep",
    "--smaller-sizes": '--size "64>96>128"',
}

_CLOSING, _OPENING, _CHINESE = "，。：；、）》」！？…", "（《「", "\u3400-\u9fff"
_PIECES = re.compile(
    rf"\s+|[{_OPENING}]*(?:[{_CHINESE}]|[^\s{_CHINESE}{_OPENING}{_CLOSING}]+)[{_CLOSING}]*|[{_OPENING}{_CLOSING}]+"
)


def sentence_of(message: str) -> str:
    """Translate a sentence of the framework to the current language; unknown ones are returned unchanged."""
    renamed = re.match(r"No such option: (\S+)", message)
    if renamed and renamed[1] in _RENAMED:
        return t("cli.renamed_option", option=renamed[1], now=_RENAMED[renamed[1]])
    for pattern, key in _SENTENCES:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            values = found.groupdict()
            if "reason" in values:
                values["reason"] = sentence_of(values["reason"])
            return t(key, **values)
    return message


def wrong_use(error: Any) -> str:
    """Return the text of a usage error: the command's usage, where to find help, and the message."""
    context, message = error.ctx, error.format_message()
    if context is None:
        return t("cli.error", message=sentence_of(message))
    if message == context.get_help():  # a command that shows its help without arguments
        return message
    asked = t("cli.try_help", command=context.command_path, option=context.help_option_names[0])
    return f"{context.get_usage()}\n{asked}\n\n{t('cli.error', message=sentence_of(message))}"


def wrapped(text: str, width: int) -> list[str]:
    """Wrap a text to `width` columns, at spaces and between Chinese characters, never before a full stop.

    A longer word gets its own line.

    Example:
        >>> wrapped("one two", 5), wrapped("训练图像，分类。", 9)
        (['one', 'two'], ['训练图', '像，分', '类。'])
    """
    lines, line, used = [], "", 0
    for piece in _PIECES.findall(text.strip()):
        columns = columns_of(piece)
        if piece.isspace():
            line, used = line + " " * len(piece), used + len(piece)
            continue
        if line.strip() and used + columns > width:
            lines.append(line.rstrip())
            line, used = "", 0
        line, used = line + piece, used + columns
    return [*lines, line.rstrip()]


class HelpPage(TyperGroup.context_class.formatter_class):
    """The framework's formatter, with texts from the catalogue and lines that fit."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage line of a command."""
        for word, key in _USAGE.items():
            args = args.replace(word, t(key))
        head = f"{prefix or t('cli.usage')}{prog} "
        lines = wrapped(args, max(self.width - columns_of(head), 20))
        self.write(head + f"\n{' ' * columns_of(head)}".join(lines) + "\n")

    def write_heading(self, heading: str) -> None:
        """Write the heading of a list."""
        self.write(" " * self.current_indent + t("cli.heading", name=t(_HEADINGS[heading])) + "\n")

    def write_text(self, text: str) -> None:
        """A paragraph."""
        indent = " " * self.current_indent
        self.write("".join(f"{indent}{line}\n" for line in wrapped(text, self.width - self.current_indent)))

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = _FIRST_COLUMN, col_spacing: int = 2) -> None:
        """Write names with their texts beside them."""
        rows = [(_with_types(name), _with_words(text)) for name, text in rows]
        widest = min(max(columns_of(name) for name, _ in rows), col_max)
        indent = " " * self.current_indent
        begin = widest + col_spacing
        for name, text in rows:
            lines = wrapped(text, max(self.width - self.current_indent - begin, 10))
            if columns_of(name) > widest:
                self.write(f"{indent}{name}\n")
                name = ""  # noqa: PLW2901 - it stands above
            self.write(f"{indent}{name}{' ' * (begin - columns_of(name))}{lines[0]}\n")
            self.write("".join(f"{indent}{' ' * begin}{line}\n" for line in lines[1:]))


def _with_types(name: str) -> str:
    """Write the type as a word: `--size <int>`."""
    return re.sub(
        r"<(\w+)( range)?>", lambda found: f"<{t(_TYPES[found[1]])}>" if found[1] in _TYPES else found[0], name
    )


def _with_words(text: str) -> str:
    """Translate what the framework adds to a help text in brackets."""
    if text == _SHOW_HELP:
        return t("cli.show_help")
    body, bracket, extra = text.rpartition("[")
    if not bracket or not extra.endswith("]") or (body and not body.endswith("  ")):
        return text
    words = [
        t("cli.required") if word == "required" else re.sub(r"^default: ", lambda _: t("cli.default"), word)
        for word in extra[:-1].split("; ")
    ]
    return f"{body}[{'; '.join(words)}]"


class _Context(TyperGroup.context_class):
    formatter_class = HelpPage


class _Command(TyperCommand):
    context_class = _Context


class _Group(TyperGroup):
    context_class = _Context


def speak(app: typer.Typer) -> None:
    """Give an application and its subcommands these help pages, with whole sentences in the lists of commands."""
    app.info.cls = _Group
    for command in app.registered_commands:
        command.cls = _Command
        command.short_help = command.help  # otherwise a list of commands cuts it off mid-sentence
    for group in app.registered_groups:
        group.cls = _Group
        if group.typer_instance is not None:
            group.short_help = group.help or group.typer_instance.info.help
            speak(group.typer_instance)
