"""A gallery follows its folders, or does not; what happened last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import gradio as gr

from unifex.core.language import say, say_many
from unifex.core.text import reason
from unifex.gallery.followed import folders, is_followed, set_followed
from unifex.gallery.gallery import GalleryError
from unifex.gallery.watching import REMEDY, watchfiles
from unifex.ui.context import ERRORS, AppContext
from unifex.ui.following import Follower
from unifex.ui.listening import Updates, listen
from unifex.ui.page_state import Wish
from unifex.ui.rendering.html import hint, message


@dataclass
class FollowSwitch:
    """Of the gallery that is shown, for who runs the server."""

    context: AppContext

    def build(self) -> None:
        """Lay it out."""
        allowed = self.context.following.allowed
        self.follows = gr.Checkbox(label=say("Follow this folder"), visible=allowed, elem_id="follow-switch")
        self.turned = gr.State(Wish())
        self.said = gr.HTML(visible=allowed, elem_id="follow-said")

    def wire(self, gallery: gr.Dropdown, looked: gr.HTML) -> None:
        """Connect the handlers; ``looked`` changes when there may be something else to be told."""
        listen(self.follows.input, self.turn, [gallery, self.follows], [self.follows, self.said, self.turned])
        changed = [looked.change, self.turned.change]
        listen(changed, self.show, [gallery, self.follows], [self.follows, self.said])

    def show(self, name: str | None, _: bool = False) -> Updates:
        """(gallery, the switch as it is shown) -> the switch, and what its folders did last."""
        if not (self.context.following.allowed and self.context.can_change(name) and name):
            return {self.follows: gr.update(visible=False), self.said: ""}
        try:
            count, on = len(folders(self.context.gallery(name))), is_followed(self.context.own.folder / name)
        except ERRORS:  # of which the facts tell
            return {self.follows: gr.update(visible=False), self.said: ""}
        if not count:
            info = say("Only a folder that was named by its path can be followed; this gallery has none.")
        elif watchfiles() is None:
            info = say(
                "Its changes come within seconds; where there are many files, {remedy} makes that cheaper.",
                remedy=REMEDY,
            )
        else:
            info = say(
                "What is new, changed, moved or gone there follows within seconds; "
                "nothing is removed while less than half is left."
            )
        label = say_many(count, "Follow this folder", "Follow these folders")
        switch = gr.update(visible=True, value=on and count > 0, interactive=count > 0, label=label, info=info)
        return {self.follows: switch, self.said: self._lines(name)}

    def turn(self, name: str, on: bool) -> Updates:
        """(gallery, whether it follows its folders) -> that it was turned, or what is in the way."""
        try:
            self._turn(name, on)
        except ERRORS as error:
            text = message(say("Nothing was changed"), reason(error), "error")
            return {self.follows: not on, self.said: text, self.turned: gr.skip()}
        return {self.turned: Wish.new()}

    def _turn(self, name: str, on: bool) -> None:
        self.context.check_local(say("nothing is followed"))
        gallery = self.context.writable(name)
        if on and not folders(gallery):
            raise GalleryError(say("'{name}' has no folder that could be followed", name=name))
        set_followed(gallery.folder, on)
        self.context.following.refresh()

    def _lines(self, name: str) -> str:
        followers = self.context.following.of(name)
        return "".join(hint(_line(follower, len(followers) > 1)) for follower in followers)


def _line(follower: Follower, named: bool) -> str:
    """What happened last, and when; ``named``: of which folder."""
    form = "%H:%M" if follower.at.date() == datetime.now().date() else "%Y-%m-%d %H:%M"
    time = follower.at.strftime(form)
    if not follower.said:
        line = say("followed since {time}, nothing has changed", time=time)
    else:
        line = f"{follower.said} ({time})" if follower.trouble else f"{follower.said}, {time}"
    return f"{follower.folder}: {line}" if named else line[:1].upper() + line[1:]
