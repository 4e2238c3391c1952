"""Work: how a recipe that takes a while tells how far it is, and hears that it should stop.

Knows frames and fractions; must not know any one recipe.
"""

from collections.abc import Callable

import numpy as np

from studio.errors import StoppedError
from studio.frame import Frame
from studio.progress import Progress
from studio.recipes.base import OnFrame
from studio.structure import Floats


class Watch:
    """Tells how far the work is, shows where the atoms are, and ends it when the user says so.

    Args:
        on_frame: Called with what is shown, from the first `show` on; returns False to stop.
        progress: Called with a fraction and a sentence.
    """

    def __init__(self, on_frame: OnFrame | None, progress: Progress | None) -> None:
        self.on_frame, self.progress = on_frame, progress
        self.frame: Frame | None = None

    def show(self, positions: Floats, index: int = 0) -> None:
        """From now on these atoms are shown; a whole `frame` can be put there, too.

        Args:
            positions: (n, 3), nm.
            index: Of the frame.
        """
        self.frame = Frame(index, 0.0, positions.astype(np.float32), energies={"potential": 0.0, "kinetic": 0.0})

    def __call__(self, fraction: float, sentence: str) -> None:
        """Tell, and listen.

        Raises:
            StoppedError: The user stopped it.
        """
        if self.on_frame and self.frame and self.on_frame(self.frame) is False:
            raise StoppedError("Stopped before it was finished. What is finished is kept: run it again to go on.")
        if self.progress:
            self.progress(fraction, sentence)


def share(watch: Progress, begin: float, end: float) -> Progress:
    """Progress of a part of the work, as that of the whole.

    Args:
        watch: Is told of the whole.
        begin: Where the part begins, from 0 to 1.
        end: Where it ends.
    """
    return lambda fraction, sentence: watch(begin + (end - begin) * fraction, sentence)


def going(watch: Progress, begin: float, end: float, sentence: str, usual: int = 100) -> Callable[[int], bool]:
    """Turns a count of iterations into progress, and a stop into False.

    Args:
        watch: Is told of the whole.
        begin: Where the part begins, from 0 to 1.
        end: Where it ends.
        sentence: What is going on.
        usual: Iterations that bring it about half-way.
    """

    def told(iteration: int) -> bool:
        try:
            watch(begin + (end - begin) * iteration / (iteration + usual), f"{sentence}, iteration {iteration}")
        except StoppedError:
            return False
        return True

    return told
