"""How the command line looks: progress bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from atlas.records import FeatureRecord, Snippet
from atlas.render import numbers
from atlas.render.snippets import Reach, snippet_view
from atlas.text import label

REACH = Reach(14, 10)
EVERY = 10.0
"""Seconds between plain lines of progress."""

_SHADES = ["", "#fff6e5", "#ffeccb", "#ffe0ac", "#ffd38b", "#ffc46a", "#ffb34a", "#ffa02b", "#fb8c12", "#f27900"]


class _Rate(ProgressColumn):
    """Amount a second."""

    def render(self, task: Task) -> Text:
        """The rate, once there is one."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="dim")


class Terminal:
    """A `Reporter` that writes to a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, line: str) -> None:
        """One line, as it is."""
        self.console.print(Text(line), soft_wrap=True)

    @contextmanager
    def track(self, what: str, total: int, unit: str) -> Iterator[Callable[[int, bool], None]]:
        """A bar with rate and time left; what was found done is taken out of the total."""
        if self.console.is_terminal:
            with Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(unit),
                _Rate(),
                TimeRemainingColumn(),
                console=self.console,
            ) as bar:
                task = bar.add_task(what, total=total)

                def tick(amount: int, found: bool) -> None:
                    if found:
                        bar.update(task, total=(bar.tasks[task].total or 0) - amount)
                    else:
                        bar.advance(task, amount)

                yield tick
            return
        yield from self._plain(what, total, unit)

    def _plain(self, what: str, total: int, unit: str) -> Iterator[Callable[[int, bool], None]]:
        start = said = time.monotonic()
        done = old = 0

        def tick(amount: int, found: bool) -> None:
            nonlocal done, old, said
            done, old = (done, old + amount) if found else (done + amount, old)
            now = time.monotonic()
            if now - said >= EVERY and done:
                said = now
                rate = done / (now - start)
                left = max(0, total - old - done) / rate
                self.say(f"{what}: {old + done:,} of {total:,} {unit}, {rate:,.0f}/s, {left:,.0f} s left")

        self.say(f"{what}: {total:,} {unit}")
        yield tick
        earlier = f", {old:,} of them found done" if old else ""
        self.say(f"{what}: done, {old + done:,} {unit} in {time.monotonic() - start:,.0f} s{earlier}")


def feature_text(feature: FeatureRecord, most: int) -> Text:
    """A feature for the terminal: name, numbers, highlighted snippets, what it promotes and suppresses."""
    out = Text()
    out.append(feature.name.text or f"Feature {feature.index} of {feature.dictionary}", "bold")
    out.append(f"   {feature.path}\n", "dim")
    facts = [
        f"density {numbers.percent(feature.density)}",
        f"{numbers.count(feature.count)} firings",
        f"maximum {numbers.activation(feature.max)}",
        f"named {feature.name.method}",
    ]
    out.append(" · ".join(facts) + "\n\n")
    for snippet in feature.top[:most]:
        out.append(f"{numbers.activation(snippet.value):>7}  ", "dim")
        out.append_text(_snippet(snippet, feature.max))
        out.append(f"  {snippet.source}\n", "dim")
    for title, effects in (("promotes", feature.logits.top), ("suppresses", feature.logits.bottom)):
        out.append(f"\n{title:>10}  ", "dim")
        out.append("  ".join(f"{label(e.piece)} {numbers.effect(e.value)}" for e in effects[:8]))
    return out


def _snippet(snippet: Snippet, maximum: float) -> Text:
    text = Text()
    for piece in snippet_view(snippet, maximum, {}, REACH).pieces:
        style = f"black on {_SHADES[piece.level]}" if piece.level else ""
        text.append(piece.text.replace("\n", "↵ "), f"bold underline {style}" if piece.focus else style or None)
    return text
