"""Work for engines, in a module that workers can import."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from fakes import Painter

from xaiaug.engines import find_link


class Square:
    """The square of each number, and the process that computed it; opened before the first one."""

    def open(self):
        self.opened = os.getpid()

    def __call__(self, number):
        if number < 0:
            raise ValueError(f"{number} is negative")
        return number * number, self.opened


@dataclass
class Meeting:
    """Waits until so many chunks are being done at once; returns the process, and the GPUs that are its own."""

    folder: Path
    workers: int

    def open(self):
        pass

    def __call__(self, number):
        (self.folder / str(number)).touch()
        end = time.monotonic() + 300
        while len(list(self.folder.iterdir())) < self.workers and time.monotonic() < end:
            time.sleep(0.01)
        assert len(list(self.folder.iterdir())) == self.workers
        return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES", "")


@dataclass
class Deadly:
    """Kills its process on the number 3, as long as there are files to take from a folder."""

    deaths: Path

    def open(self):
        pass

    def __call__(self, number):
        if number == 3:
            die_once(self.deaths)
        return number


class Waiting:
    """Works until the run is asked to stop, and says so meanwhile; returns whether it was asked in time."""

    def open(self):
        pass

    def __call__(self, number):
        for step in range(600):
            find_link().send(f"step {step} of {number}")
            if find_link().stopping():
                return True
            time.sleep(0.1)
        return False


class DyingPainter(Painter):
    """Paints; kills its process in mid-chunk, as long as there are files to take from a folder."""

    def __init__(self, deaths: str) -> None:
        self.deaths = deaths

    def synthesize(self, requests):
        made = super().synthesize(requests)
        die_once(Path(self.deaths))
        return made


class SlowPainter(Painter):
    """Paints one image at a time, and takes its time."""

    batch_size = 1

    def synthesize(self, requests):
        time.sleep(0.6)
        return super().synthesize(requests)


def die_once(folder):
    """Takes a file from the folder, and kills this process; does nothing where there is none."""
    for file in sorted(folder.iterdir()):
        try:
            file.unlink()
        except FileNotFoundError:  # another process took it
            continue
        os.kill(os.getpid(), signal.SIGKILL)
