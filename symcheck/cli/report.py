"""`symcheck report`: show, convert, compare and join what other commands have written. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symcheck.cli import options
from symcheck.cli.choices import check_choice, words
from symcheck.cli.printing import check_output, show

if TYPE_CHECKING:
    from symcheck.report.model import Report
    from symcheck.report.outcome import GateReport

_COMPARED = ("text", "markdown", "json")

report = typer.Typer(
    help="Show, convert, compare and join what audit, gate, connect, ... have written.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

File = Annotated[Path, typer.Argument(help="A JSON document of symcheck.", show_default=False)]
Files = Annotated[list[Path], typer.Argument(help="JSON documents of symcheck.", show_default=False)]
Outputs = Annotated[
    list[Path],
    typer.Option(
        "-o", "--out", help="FILE.json, .md, .txt, .html, .xml (JUnit), .sarif, .csv, .pdf, .svg or .png; repeat.",
        show_default=False,
    ),
]  # fmt: skip
Compared = Annotated[
    str, typer.Option("--format", help="What to print: text, markdown or json.", autocompletion=words(*_COMPARED))
]
FailOnWorse = Annotated[bool, typer.Option("--fail-on-worse", help="Exit with 1 when anything got worse or is gone.")]


@report.command("show", short_help="Print documents, in the terminal or in another format.")
def show_(files: Files, format_: options.Format = "text", details: options.Details = False) -> None:
    """Print documents that symcheck has written: reports, gates, loss barriers, alignments.

    Exit code 0: shown, whatever they say. 2: one cannot be read.

    Examples:

      symcheck report show report.json --details

      symcheck report show gate.json --format github
    """
    check_output(format_, None)
    from symcheck.report.documents import read_document

    for document in [read_document(path) for path in files]:
        show(document, format_, details)


@report.command(short_help="Write a document in other formats, by their suffixes.")
def convert(file: File, output: Outputs) -> None:
    """Write a JSON document in other formats: a page, JUnit, SARIF, CSV of its curves, a figure for a paper.

    Exit code 0: written, whatever it says. 2: it cannot be read, or has no such form.

    Examples:

      symcheck report convert report.json -o report.html -o report.pdf

      symcheck report convert gate.json -o gate.sarif -o junit.xml
    """
    check_output("text", output, keep=[file])
    from symcheck.report.documents import read_document
    from symcheck.report.write import write_report

    document = read_document(file)
    for path in output:
        write_report(document, path, file.parent)
        typer.echo(f"wrote {path}")


@report.command(short_help="What got better or worse between two reports?")
def diff(old: File, new: File, format_: Compared = "text", fail_on_worse: FailOnWorse = False) -> None:
    """Compare two reports: worse where a verdict got worse or the new interval lies above the old one.

    A verdict that changed only with its limit does not count: then the intervals decide.

    Exit code 0: compared. 1: something got worse or is gone, with --fail-on-worse. 2: nothing could be compared.

    Examples:

      symcheck report diff main.json branch.json --fail-on-worse
    """
    check_choice(format_, _COMPARED, "--format")
    from symcheck.report import diff as compare
    from symcheck.report.documents import read_report

    changes = compare.diff(read_report(old), read_report(new))
    if format_ == "text":
        from symcheck.cli.console import output_console
        from symcheck.cli.report_text import show_changes

        show_changes(changes, output_console())
    else:
        render = compare.render_diff_json if format_ == "json" else compare.render_diff_markdown
        typer.echo(render(changes), nl=False)
    if fail_on_worse and compare.lost(changes):
        raise typer.Exit(1)


@report.command(short_help="One report from the reports of shards.")
def merge(files: Files, output: Outputs) -> None:
    """Join the reports of shards of one audit, or of one set of gates; shards that contradict each other are refused.

    Shards of elements (symcheck audit --shard i/n) need all n, each with its .parts.safetensors beside it.

    Exit code 0: joined, whatever it says. 2: the shards do not belong together, or cannot be read.

    Examples:

      symcheck report merge shard-*.json -o report.json -o report.html
    """
    check_output("text", output, keep=files)
    from symcheck.report.documents import judged, read_report
    from symcheck.report.wording import tally
    from symcheck.report.write import write_report

    read = [(path, read_report(path)) for path in files]
    joined = _joined(read, output[0])
    for path in output:
        write_report(joined, path)
    typer.echo(f"{len(files)} shards: {tally(judged(joined).outcomes)}")


def _joined(read: list[tuple[Path, Report | GateReport]], output: Path) -> Report | GateReport:
    """One report of all; shards of elements are joined from their pieces, which takes torch."""
    from symcheck.report.merging import merge
    from symcheck.report.model import Report

    reports = [(path, found) for path, found in read if isinstance(found, Report)]
    if len(reports) == len(read) and any("shard" in report.settings for _, report in reports):
        from symcheck.engines.shards import join
        from symcheck.report.write import worst_file

        return join(reports, worst_file(output))
    return merge([(str(path), found) for path, found in read])
