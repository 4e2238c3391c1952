"""Studies: what can be asked about a molecule, a series or a recorded run - as a form that becomes a recipe, and what is at work.

Each study has its place among the runs and a process of its own; starting, stopping or opening one does not touch the run that is
shown. Knows questions and the store; must not know any one study, nor how a report looks.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import panel as pn
import param
from panel.custom import JSComponent

from studio import so_far
from studio.entry import WORDS
from studio.errors import SettingsError, StructureError
from studio.questions import SUBJECTS, Answer, Offer, Question, Unanswered, answered, offer_of, offers, potentials_of
from studio.recipes.base import Recipe
from studio.study import Inquiry
from widgets.alerts import WayOut
from widgets.desk import Desk, Part, css
from widgets.inquiries import Begin, Job, inquiries
from widgets.subjects import Choice, Subjects
from widgets.upload import Shelf, Upload, too_large
from widgets.waiting import Remaining
from widgets.words import duration

FIRST = "strain"
"""What is asked before anything else is chosen."""
WRITTEN = {"gbn2": "GBn2", "obc2": "OBC", "mm": "MM", "nnp/mm": "NNP/MM", "nnp": "NNP", "ca": "C-alphas", "ca-cb": "C-alphas and C-betas"}
"""Choices that are not words."""
OWN = ("recording", "result", "structure", "table")
"""Kinds of questions that are answered by something of the user's."""
TRUSTED = ("workers", "cluster")
"""Settings for who owns the machine: more processes, and addresses that are to be trusted."""
OF_SERIES, OPEN = "", "open"
AT_ONCE = 4
"""Questions that are seen without unfolding."""
MOST_WAITING = 6
"""Studies of one visitor at work and waiting together."""
UNFINISHED = ("new", "interrupted", "stopped", "failed")
"""How a study may be that can go on."""
SEVERAL_FILES = ".sdf,.mol2,.gz,.pdb,.ent,.cif,.mmcif,.csv"


class StudiesPane(JSComponent):
    """The part of the form that lives in the page; its parameters are what `studies.js` reads."""

    groups = param.List(default=[], item_type=dict, doc="What can be asked: `title` of a subject, and its `items` with `kind` and `title`.")
    asked = param.String(default="", doc="Kind of the study that is chosen.")
    about = param.String(default="", doc="What it answers.")
    subject = param.Dict(
        default={}, doc="What it is about: `label`, `title`, `choices` with `value` and `title`, `value`, and `off`: why it cannot be asked now."
    )
    fields = param.List(default=[], item_type=dict, doc="The settings that are asked for; see `Studies._field`.")
    problems = param.Dict(default={}, doc="What is wrong with an answer, by name; under no name what belongs to none.")
    jobs = param.List(default=[], item_type=dict, doc="Studies at work, waiting and just ended.")
    upload = param.Boolean(default=False, doc="A file may be given.")

    _esm = Path(__file__).parent / "static" / "studies.js"


class Studies(Part):
    """What can be asked, and what is at work. In a notebook: `studies.ask("strain")`, `studies.answer("potentials", ("mm",))`, `await studies.start()`.

    Args:
        desk: Shared with other parts; one of its own when left out.
        begin: Starts the worker of a study.

    Attributes:
        offer: What is chosen; none before the list is read.
        answers: What was said in the form, by name; the rest keeps its defaults.
    """

    def __init__(self, desk: Desk | None = None, begin: Begin = Inquiry) -> None:
        super().__init__(desk)
        self._begin = begin
        self.offers: tuple[Offer, ...] = ()
        self.offer: Offer | None = None
        self.answers: dict[str, Answer] = {}
        self._told: set[int] = set()
        self._remaining: dict[int, Remaining] = {}
        self._reading = False
        self.shelf = Shelf(self.desk.take_upload)
        self.subjects = Subjects(self.store)
        make: Callable[..., StudiesPane] = StudiesPane
        self.pane: StudiesPane = make(stylesheets=css("studies"), margin=0, sizing_mode="stretch_width")
        self.pane.on_msg(lambda event: self._hear(event.data))
        self.upload = Upload(lambda name, data: self.guard.start(self.take(name, data)), self._refuse, css("builder"))
        self.upload.pane.param.update(
            label="A file of your own", hint="Ligands in their poses (SDF, MOL2), a protein (PDB, mmCIF), numbers (CSV)", accept=SEVERAL_FILES, visible=False
        )
        self.panel = pn.Column(self.pane, self.upload.pane, margin=0, sizing_mode="stretch_width", stylesheets=css("studies"), css_classes=["stack"])
        for name in ("recipe", "entry", "title", "shelf"):
            self.store.param.watch(self.guard.around(lambda _event: self._tell_subject()), name)
        self.store.param.watch(self.guard.around(lambda event: self._bring(event.new)), "study")
        self.desk.each_tick(self.refresh)
        self.desk.on_close(self.shelf.clear)

    # -- from Python ---------------------------------------------------------------------------------------------------

    def ask(self, kind: str) -> None:
        """Choose what is asked.

        Args:
            kind: Of the recipe, such as `strain`.

        Raises:
            SettingsError: There is no such study.
        """
        chosen = offer_of(kind)
        if chosen is None:
            raise SettingsError(f"'{kind}' is not a study. Expected one of {', '.join(offer.kind for offer in offers())}.")
        self.offer, self.answers = chosen, {}
        self.pane.param.update(asked=kind, about=chosen.study.about, fields=self._fields(chosen), problems={})
        self._tell_subject()

    def answer(self, name: str, answer: Answer) -> None:
        """Say something in the form; what is wrong with it stands beside it.

        Args:
            name: Of the question, such as `protocol.conformers`.
            answer: Whatever it may be.
        """
        self.answers[name] = answer
        self._check()

    @property
    def recipe(self) -> Recipe:
        """What the form says.

        Raises:
            SettingsError: Nothing is chosen, there is nothing that it could be about, or an answer is not allowed.
        """
        try:
            return self._recipe()
        except Unanswered as wrong:
            raise SettingsError(str(wrong)) from wrong

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Studies at work, waiting and just ended, oldest first."""
        return inquiries.of(self.store.library, self.store.owner)

    async def start(self) -> int:
        """Begin what the form says, or let it wait for its turn.

        Returns:
            Its number among the runs.

        Raises:
            StudioError: An answer is not allowed, too many wait already, or it cannot be kept.
        """
        recipe = self.recipe
        if sum(not job.standing.over for job in self.jobs) >= MOST_WAITING:
            raise SettingsError(f"{MOST_WAITING} studies are at work or wait already. Wait until one has ended, or stop one.")
        title = f"{self.offer.study.title}: {self.subjects.title}" if self.offer is not None else ""
        entry = await asyncio.to_thread(self.store.library.new, recipe, title, self.store.owner)
        await self.resume(entry.id)
        return entry.id

    async def resume(self, number: int) -> None:
        """Go on with a study from what is finished.

        Args:
            number: Among the runs.

        Raises:
            StudioError: There is no such study, or others work on it.
        """
        await asyncio.to_thread(self._check_owner, number)
        await asyncio.to_thread(inquiries.add, self.store.library, number, self._begin)
        self._told.discard(number)
        self.store.shelf += 1
        self.refresh()

    def cancel(self, number: int) -> None:
        """Stop a study; what is finished is kept. One that is not at work stays as it is.

        Args:
            number: Among the runs.
        """
        job = self._job(number)
        if job is not None:
            job.cancel()
            self.refresh()

    def open(self, number: int) -> None:
        """Show what a study found, or has found so far.

        Args:
            number: Among the runs.
        """
        self.store.study = number

    async def take(self, name: str, data: bytes) -> None:
        """Take a file with ligands, with a protein or with numbers; it answers the first question that it fits.

        Args:
            name: As the browser gave it.
            data: Its bytes.

        Raises:
            StudioError: Not a file with molecules, or too large.
        """
        path = await self.shelf.keep(name, data)
        await asyncio.to_thread(self.subjects.add_file, path)
        if self.offer is not None:
            fitting = [each.name for each in self.offer.questions if str(path) in {choice.value for choice in self.subjects.given(each.kind)}]
            self.answers |= dict.fromkeys(fitting[:1], str(path))
            self.pane.fields = self._fields(self.offer)
        self._tell_subject()

    # -- what is shown -------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Hear the studies, and show how they are."""
        inquiries.look()
        rows = [self._row(job) for job in self.jobs]
        if rows != self.pane.jobs:
            self.pane.jobs = rows
        for job in self.jobs:
            if job.standing.over and job.number not in self._told:
                self._told.add(job.number)
                self._announce(job)

    async def _read(self) -> None:
        """What can be asked; the first one is chosen."""
        self.offers = await asyncio.to_thread(offers)
        groups = {subject: [{"kind": each.kind, "title": each.study.title} for each in self.offers if each.study.subject == subject] for subject in SUBJECTS}
        self.pane.groups = [{"title": SUBJECTS[subject], "items": items} for subject, items in groups.items() if items]
        if self.offer is None and self.offers:
            self.ask(next((offer.kind for offer in self.offers if offer.kind == FIRST), self.offers[0].kind))

    def _announce(self, job: Job) -> None:
        """A study is over; the list of runs looks again."""
        self.store.shelf += 1
        state, what = job.standing.state, f"Study {job.number}, {job.entry.title},"
        if state == "done" and self.store.study != job.number:
            self.desk.alert.say(f"{what} is done.", WayOut("Show the result", partial(self.open, job.number)), kind="note")
        elif state in ("failed", "lost"):
            self.desk.alert.say(f"{what} ended early. {job.standing.sentence}")

    def _row(self, job: Job) -> dict[str, Any]:
        """A study as the page takes it."""
        standing = job.standing
        left = self._remaining.setdefault(job.number, Remaining())(standing.fraction, monotonic()) if standing.state == "running" else None
        seen = ["watch"] if any(so_far.stamp(job.entry.folder)) and standing.state != "done" else []
        acts = {"running": [*seen, "cancel"], "waiting": [*seen, "cancel"], "done": ["open", "dismiss"]}.get(standing.state, [*seen, "resume", "dismiss"])
        return {
            "number": job.number, "title": job.entry.title, "state": standing.state, "words": standing.sentence, "acts": acts,
            "fraction": round(standing.fraction, 3), "left": f"{duration(left)} left" if left is not None else "",
        }  # fmt: skip

    def _fields(self, offer: Offer) -> list[dict[str, Any]]:
        asked = [question for question in offer.questions if question.path[-1] not in TRUSTED or not self.store.owner]
        return [self._field(question, place >= AT_ONCE or question.kind == "region" or question.path[-1] in TRUSTED) for place, question in enumerate(asked)]

    def _field(self, question: Question, more: bool) -> dict[str, Any]:
        """A question as the page takes it."""
        choices = [{"value": name, "title": title} for name, title in self._choices(question).items()]
        said = self.answers.get(question.name, question.default)
        default = list(said) if isinstance(said, tuple) else said
        return {
            "name": question.name, "title": question.title, "help": question.help, "kind": question.kind, "value": default, "low": question.low,
            "high": question.high, "choices": choices, "optional": question.optional, "more": more,
        }  # fmt: skip

    def _choices(self, question: Question) -> Mapping[str, str]:
        if question.kind in ("potential", "potentials"):
            return ({"": "None"} if question.optional else {}) | potentials_of(self.desk.cards)
        if question.kind in OWN:
            return {"": "None", **{choice.value: choice.title for choice in self.subjects.given(question.kind)}}
        if question.kind == "system":
            return {OF_SERIES: "That of the series", OPEN: "The one that is on screen"}
        return {choice: WRITTEN.get(choice) or choice.replace("_", " ").capitalize() for choice in question.choices}

    def _tell_subject(self) -> None:
        """What it would be about now."""
        if self.offer is None:
            return
        self.subjects.turn(self.offer.study.subject)
        choices: tuple[Choice, ...] = self.subjects.choices
        told = {
            "label": SUBJECTS[self.offer.study.subject], "choices": [{"value": choice.value, "title": choice.title} for choice in choices],
            "title": self.subjects.title, "value": self.subjects.chosen, "off": self.subjects.off,
        }  # fmt: skip
        self.upload.pane.visible = self.offer.study.subject == "series" or any(question.kind in OWN[1:] for question in self.offer.questions)
        if told != self.pane.subject:
            self.pane.subject = told
        self._check()

    def _check(self) -> None:
        try:
            if not self.subjects.off:
                self._recipe()
            self.pane.problems = {}
        except Unanswered as wrong:
            self.pane.problems = wrong.problems

    def _recipe(self) -> Recipe:
        if self.offer is None:
            raise SettingsError("Choose a study first.")
        if self.subjects.off:
            raise SettingsError(self.subjects.off)
        home = self.store.home.system.model_dump(mode="json") if self.store.home is not None else None
        systems = {question.name for question in self.offer.questions if question.kind == "system"}
        answers = {name: (home if answer == OPEN else None) if name in systems else answer for name, answer in self.answers.items()}
        return answered(self.offer, self.subjects.data(), answers)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _hear(self, message: object) -> None:
        with self.guard:
            match message:
                case {"type": "ready"} if not self._reading:
                    self._reading = True
                    self.guard.start(self._read())
                case {"type": "ask", "kind": str(kind)}:
                    self.ask(kind)
                case {"type": "subject", "value": str(value)}:
                    self.subjects.choose(value)
                    self._tell_subject()
                case {"type": "answer", "name": str(name), "value": value} if self._may(name, value):
                    self.answer(name, tuple(value) if isinstance(value, list) else value)
                case {"type": "start"}:
                    self.guard.start(self._start())
                case {"type": "json"}:
                    self.pane._send_msg({"file": (self.recipe.to_json() + "\n").encode(), "name": f"{self.pane.asked}.json", "mime": "application/json"})
                case {"type": "cancel" | "open" | "watch" | "resume" | "dismiss" as act, "number": int(number)}:
                    self._act(act, number)

    def _may(self, name: str, value: object) -> bool:
        """Whether a page may give this answer: of what is chosen, only what was offered; else any path of this machine could be read."""
        field = next((field for field in self.pane.fields if field["name"] == name), None)
        free = field is not None and field["kind"] not in (*OWN, "potential", "system")
        return free or (field is not None and value in {choice["value"] for choice in field["choices"]} | {None})

    def _act(self, act: str, number: int) -> None:
        job = self._job(number)
        if job is None:
            return
        if act == "resume":
            self.guard.start(self.resume(number))
        elif act == "dismiss":
            inquiries.dismiss(job)
            self.refresh()
        else:
            (self.cancel if act == "cancel" else self.open)(number)

    async def _start(self) -> None:
        await self.start()

    def _job(self, number: int) -> Job | None:
        return next((job for job in self.jobs if job.number == number), None)

    def _check_owner(self, number: int) -> None:
        if self.store.library.get(number).owner != self.store.owner:
            raise SettingsError(f"There is no study {number}. Choose one of the list.")

    def _bring(self, number: int) -> None:
        """A study was opened from the list: where it is not finished, it can go on from here."""
        if number:
            if self.desk.alert.sentence.startswith(f"Study {number},"):
                self.desk.alert.dismiss()
            self.guard.start(self._tell_unfinished(number))

    async def _tell_unfinished(self, number: int) -> None:
        entry, job = await asyncio.to_thread(self.store.library.get, number), self._job(number)
        if job is not None and not job.standing.over:
            if self.store.study == number and any(so_far.stamp(entry.folder)):
                return  # it is seen at work
            self.desk.alert.say(f"Study {number}, {entry.title}, is at work: see Studies.", kind="note")
        elif entry.status in UNFINISHED:
            way = WayOut("Go on", lambda: self.guard.start(self.resume(number)))
            self.desk.alert.say(f"Study {number}, {entry.title}, is not finished: {WORDS[entry.status]}. What is finished is kept.", way, kind="note")

    def _refuse(self, name: str, megabytes: float) -> None:
        with self.guard:
            raise StructureError(too_large(name, megabytes))
