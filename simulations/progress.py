"""What a person sees of a run on the console: one live line with round, site, loss and time left."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from medfed import events
from medfed.errors import StopRequested


class ConsoleProgress:
    """Listens to a run; after :meth:`request_stop` it ends the run at the next event."""

    def __init__(self, console: Console, verbose: bool) -> None:
        self._console = console
        self._verbose = verbose
        self._stop = False
        self._bar = Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._site_number = 0
        self._num_sites = 1

    def close(self) -> None:
        """Take the live display down; nothing was drawn before the first event."""
        if self._tasks:
            self._bar.stop()

    def request_stop(self) -> None:
        """End the run between two sites."""
        self._stop = True

    def __call__(self, event: events.Event) -> None:
        """Show ``event``; raises StopRequested where a stop was asked for."""
        match event:
            case events.RoundStarted(round=number, rounds=total, num_sites=num_sites):
                self._site_number, self._num_sites = 0, num_sites
                self._update("rounds", number - 1, total, "")
            case events.SiteStarted(site=site, purpose=purpose):
                self._note(f"{purpose} at {escape(site)}")
            case events.SiteDone(site=site, loss=loss):
                self._site_number += 1
                self._note(f"{escape(site)}: {_loss(loss)}")
            case events.SiteFailed(site=site, cause=cause, detail=detail):
                self._console.print(f"[bold red]site {escape(site)} failed:[/] {escape(cause)}", highlight=False)
                if detail:
                    self._console.print(escape(detail.rstrip()), style="dim", highlight=False)
            case events.RoundDone(
                round=number, rounds=total, loss=loss, metric_name=name, metric=metric, seconds=seconds
            ):
                self._update("rounds", number, total, "")
                shown = "-" if metric is None else f"{metric:.3f}"
                if self._verbose:
                    self._console.print(
                        f"round {number:>3}/{total}  {_loss(loss)}  val {name} {shown}  {seconds:.1f} s",
                        highlight=False,
                    )
            case events.StageDone(name=name, done=done, total=total):
                self._update(name, done, total, "")
        if self._stop:
            raise StopRequested("stopped by the user (Ctrl-C)")

    def _update(self, name: str, done: int, total: int, note: str) -> None:
        if name not in self._tasks:
            self._bar.start()
            self._tasks[name] = self._bar.add_task(name, total=total, note=note)
        self._bar.update(self._tasks[name], completed=done, total=total, note=note)

    def _note(self, note: str) -> None:
        for task in list(self._tasks.values())[-1:]:
            self._bar.update(task, note=note)


def _loss(loss: float | None) -> str:
    return "loss -" if loss is None else f"loss {loss:.4f}"


@contextmanager
def watching(console: Console, verbose: bool) -> Iterator[ConsoleProgress]:
    """A live progress display; the first Ctrl-C asks for a clean stop, the second ends at once."""
    progress = ConsoleProgress(console, verbose)
    with interruptible(console, progress.request_stop):
        try:
            yield progress
        finally:
            progress.close()


@contextmanager
def interruptible(console: Console, request_stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C inside the block calls ``request_stop``, the second ends at once."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        request_stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        console.print("[yellow]stopping after the current site; press Ctrl-C again to stop at once[/]")

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
