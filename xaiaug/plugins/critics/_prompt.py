"""Whether a prompt can be handed to an image generator: it shows the true class, and nothing else of the classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ._schema import PROMPT, plain
from ._unusable import UnusableError

WORDS = 100
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*-?|[^\w\s]")  # a word keeps the hyphen behind it
_COMPARED = {"like", "resembling", "resembles", "resemble", "mimicking", "unlike", "than", "similar"}
# What may follow the noun that names the subject; another noun makes a modifier of it ("a dog bed").
_FUNCTION = frozenset(
    re.findall(
        r"\w+",
        "a an the and or but nor in on at by of with without to from into onto under over beside near behind before "
        "between against along among around across above below inside outside while when where whose who which that "
        "is are was has have its their his her this these facing seen shown next",
    )
)
_WRAPPED = re.compile(r"^(?:\W*)(?:(?:image|sdxl|stable diffusion|generation|final)\s+)*prompt\W*:\s*", re.IGNORECASE)


@dataclass(frozen=True)
class PromptCheck:
    """What a prompt must keep to.

    Attributes:
        labels: names of all classes.
        count_tokens: tokens a prompt takes; None where nobody counts.
        token_limit: most tokens that are read.
    """

    labels: Sequence[str] = ()
    count_tokens: Callable[[str], int] | None = None
    token_limit: int | None = None

    def __call__(self, prompt: str, label: str) -> str:
        """The prompt, when it can be used.

        Raises:
            UnusableError: it names another class or not the true one, or is too long.
        """
        words = len(prompt.split())
        if words > WORDS or len(prompt) > PROMPT:
            raise UnusableError("bad prompt", f"the prompt has {words} words; at most {WORDS} are allowed")
        if self.count_tokens is not None and self.token_limit is not None:
            tokens = self.count_tokens(prompt)
            if tokens > self.token_limit:
                raise UnusableError(
                    "bad prompt",
                    f"the prompt takes {tokens} tokens, and the image generator reads {self.token_limit}; shorten it",
                )
        named = list(_named(prompt, label, self.labels))
        # Scripts without spaces have no words to compare.
        unspaced = not label.isascii() and label.casefold() in prompt.casefold()
        if label not in (name for name, _ in named) and not unspaced:
            raise UnusableError("bad prompt", f"the prompt must name the class {_spoken(label)!r}")
        for name, subject in named:
            if subject and name != label:
                raise UnusableError(
                    "bad prompt",
                    f"the prompt shows a {_spoken(name)!r}; the only class in it must be {_spoken(label)!r}",
                )
        return prompt


def read_prompt(text: str) -> str:
    """The prompt in an answer that should hold nothing else: without quotes, fences and a heading.

    Raises:
        UnusableError: nothing is left.
    """
    body = re.sub(r"^\s*```\w*\s*|\s*```\s*$", "", text)
    prompt = plain(_WRAPPED.sub("", body)).strip("\"'“”*` ")
    if not prompt:
        raise UnusableError("empty", "there is no prompt in it")
    return prompt


def _named(prompt: str, label: str, labels: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The classes a prompt names, each with whether it is shown there and not merely compared with or a modifier."""
    tokens = _words(prompt)
    stems = [_stem(token) for token in tokens]
    forms = [(form, name) for name in {label, *labels} for form in _forms(name)]
    # "tabby cat" is that class and not "cat"; of two classes that sound the same the true one is meant.
    forms.sort(key=lambda one: (-len(one[0]), one[1] != label, one[1]))
    place = 0
    while place < len(tokens):
        found = next((one for one in forms if tuple(stems[place : place + len(one[0])]) == one[0]), None)
        if found is not None:
            yield found[1], _shown(tokens, place, place + len(found[0]))
        place += len(found[0]) if found else 1


def _words(text: str) -> list[str]:
    return [token.casefold() for token in _TOKEN.findall(text)]


def _forms(label: str) -> list[tuple[str, ...]]:
    """The ways to say a label: "tabby, tabby cat" is two, and a number before it (as in "003.ant") is none of it."""
    parts = [part.replace("_", " ") for part in label.split(",")]
    spoken = [re.sub(r"^\W*n?\d{2,}\W+", "", part) or part for part in parts]
    return [form for part in spoken if (form := tuple(_stem(word) for word in _words(part)))]


def _stem(word: str) -> str:
    """The singular, roughly: it is only ever compared with other stems."""
    word = re.sub(r"['’]s$", "", word.rstrip("-"))
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def _shown(tokens: Sequence[str], start: int, end: int) -> bool:
    """Whether the noun at that place is shown: not compared with ("like a dog"), nor before another ("a dog bed")."""
    if any(token in _COMPARED for token in tokens[max(0, start - 3) : start]):
        return False
    if tokens[end - 1].endswith(("-", "'s", "’s", "s'", "s’")):
        return False
    following = tokens[end] if end < len(tokens) else "."
    if not following[0].isalnum() or following in _FUNCTION:
        return True
    return len(following) > 4 and following.endswith(("ing", "ed"))  # "sitting", and no "bed"


def _spoken(label: str) -> str:
    return label.replace("_", " ")
