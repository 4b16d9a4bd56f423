"""Parses a prompt: animal, coat, backdrop, light, focus, size, place and pose; ends with the lexicon."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from PIL import ImageColor

from .colours import colour_words, nearest_tone
from .palette import BACKDROPS, COATS, RGB

FIELDS = ("coat", "backdrop", "light", "focus", "size", "across", "down", "facing", "pose")
_TOKEN = re.compile(r"#[0-9a-f]{6}\b|#[0-9a-f]{3}\b|[a-z]+(?:'[a-z]+)?|[,.;:!?]")
_STOPS = frozenset(",.;!?")
_LINKS = frozenset({"is", "are", "of", "in", ":", "coloured", "colour", "turned", "be", "being", "should"})
_OWNERS = {"subject": "coat", "animal": "coat", "ground": "backdrop", "backdrop": "backdrop"}
MAX_PHRASE_WORDS = 5


@dataclass
class ParsedPrompt:
    """What a prompt asks for.

    Attributes:
        animals: "cat" and "dog" as far as the prompt asks for them, in order of mention.
        wanted: requested value, by field in `FIELDS`.
        unwanted: excluded values, by field.
    """

    animals: list[str] = field(default_factory=list)
    wanted: dict[str, str] = field(default_factory=dict)
    unwanted: dict[str, set[str]] = field(default_factory=dict)

    @property
    def fields(self) -> set[str]:
        """The fields that the prompt mentions, without the animal."""
        return set(self.wanted) | set(self.unwanted)

    def drop(self, ignored: Collection[str]) -> ParsedPrompt:
        """The prompt without the fields in `ignored`."""
        wanted = {name: value for name, value in self.wanted.items() if name not in ignored}
        unwanted = {name: values for name, values in self.unwanted.items() if name not in ignored}
        return ParsedPrompt(list(self.animals), wanted, unwanted)


@dataclass(frozen=True)
class Mention:
    """A phrase of the lexicon, or another word (kind "other"), at its place in the prompt."""

    kind: str
    value: object
    words: str


def parse_prompt(prompt: str) -> ParsedPrompt:
    """What the prompt asks for; words without a meaning for a drawing are ignored."""
    parsed, carried, topic = ParsedPrompt(), False, "coat"
    for clause in _split_clauses(_find_mentions(prompt)):
        negated, kinds = carried, [mention.kind for mention in clause]
        topic = _find_topic(kinds, topic)
        for index, mention in enumerate(clause):
            if mention.kind in ("negation", "affirmation"):
                negated = mention.kind == "negation"
            elif mention.kind == "animal":
                _add_animal(parsed, str(mention.value), negated)
            elif mention.kind in ("colour", "hex"):
                _add_colour(parsed, _find_owner(clause, index, topic), mention, negated)
            elif mention.kind in FIELDS:
                _add_value(parsed, mention.kind, str(mention.value), negated)
        carried = bool(kinds) and kinds[-1] == "negation"
    return parsed


def _find_mentions(prompt: str) -> list[Mention]:
    """The prompt split into known phrases, longest first, and other words."""
    text = prompt.lower().replace("gray", "grey").replace("-", " ").replace("’", "'").replace("'re", " are")
    tokens, phrases, mentions, at = _TOKEN.findall(text), lexicon(), [], 0
    while at < len(tokens):
        for length in range(min(MAX_PHRASE_WORDS, len(tokens) - at), 0, -1):
            if entry := phrases.get(tuple(tokens[at : at + length])):
                break
        kind, value = entry or _classify_unknown(tokens[at])
        mentions.append(Mention(kind, value, " ".join(tokens[at : at + length])))
        at += length
    return _disambiguate(mentions)


def _classify_unknown(word: str) -> tuple[str, object]:
    if word.startswith("#"):
        return "hex", ImageColor.getrgb(word)
    if word == ":":
        return "affirmation", word
    return ("stop" if word in _STOPS else "other"), word


def _disambiguate(mentions: list[Mention]) -> list[Mention]:
    """ "dark fur" is a colour, "dark" alone is light; "bright" likewise."""
    result = []
    for mention, after in pairwise([*mentions, Mention("stop", "", "")]):
        shade = {"dark": (44, 44, 50), "light": (243, 241, 238), "pale": (242, 217, 155)}.get(mention.words)
        is_colour = shade is not None and after.kind in ("subject", "animal")
        result.append(Mention("colour", shade, mention.words) if is_colour else mention)
    return result


def _split_clauses(mentions: list[Mention]) -> Iterator[list[Mention]]:
    """Runs of mentions up to a stop, or up to a word that begins a new clause."""
    clause: list[Mention] = []
    for mention in mentions:
        if mention.kind == "stop":
            yield clause
            clause = []
        elif mention.kind in ("before", "boundary", "negation") and clause:
            yield clause
            clause = [mention]
        else:
            clause.append(mention)
    yield clause


def _find_topic(kinds: list[str], before: str) -> str:
    """Whether colours of a clause that have no noun belong to the coat or the backdrop."""
    if "ground" in kinds or "backdrop" in kinds:
        return "backdrop"
    if "subject" in kinds or "animal" in kinds:
        return "coat"
    return "backdrop" if "before" in kinds else before


def _find_owner(clause: list[Mention], index: int, topic: str) -> str:
    """What a colour belongs to: the noun before ("fur is grey"), else the noun after it ("grey fur")."""
    before = [m for m in clause[:index] if m.words not in _LINKS and m.kind not in ("colour", "hex")]
    adjacent = index > 0 and (clause[index - 1].words in _LINKS or clause[index].kind == "hex")
    if adjacent and before and before[-1].kind in _OWNERS:
        return _OWNERS[before[-1].kind]
    following = [_OWNERS[m.kind] for m in clause[index:] if m.kind in _OWNERS]
    return following[0] if following else topic


def _add_animal(parsed: ParsedPrompt, animal: str, negated: bool) -> None:
    if not negated and animal not in parsed.animals:
        parsed.animals.append(animal)


def _add_colour(parsed: ParsedPrompt, owner: str, mention: Mention, negated: bool) -> None:
    colour: RGB = mention.value  # type: ignore[assignment]
    name = nearest_tone(colour, COATS if owner == "coat" else BACKDROPS)
    if mention.kind == "hex" and not negated:
        parsed.wanted[owner] = name
    else:
        _add_value(parsed, owner, name, negated)


def _add_value(parsed: ParsedPrompt, name: str, value: str, negated: bool) -> None:
    """Adds a requested or excluded value; the first request for a field counts."""
    if negated:
        parsed.unwanted.setdefault(name, set()).add(value)
    else:
        parsed.wanted.setdefault(name, value)


@lru_cache(maxsize=1)
def lexicon() -> dict[tuple[str, ...], tuple[str, object]]:
    """Kind and value of every phrase, by its words; the value of a colour is red, green, blue."""
    entries: dict[tuple[str, ...], tuple[str, object]] = {
        tuple(name.split()): ("colour", colour) for name, colour in colour_words().items()
    }
    for kind, values in _WORDS.items():
        for value, phrases in values.items():
            entries |= {tuple(phrase.split()): (kind, value) for phrase in phrases.split(",")}
    return entries


# kind -> value -> phrases; longer phrases take precedence, hyphens count as spaces
_WORDS: dict[str, dict[str, str]] = {
    "animal": {
        "cat": "cat,cats,cat's,kitten,kittens,kitty,feline,tomcat,puss,pussycat,housecat,house cat,tabby",
        "dog": "dog,dogs,dog's,puppy,puppies,pup,hound,canine,doggy,doggie,pooch,house dog",
    },
    "subject": {"": "coat,fur,furred,coated,coloured,haired,hair,pelt,animal,subject,pet,body,creature"},
    "ground": {"": "background,backdrop,back ground,back drop,setting,surroundings,scenery,environment,wall,scene"},
    "before": {"": "on,against,in front of,before,over,upon,amid,amidst,surrounded by,at"},
    "boundary": {"": "with,under,in,and,while,whose,where,which,behind,near,by,has,having,wearing,showing"},
    "negation": {
        "": "not,no,without,never,avoid,avoiding,unlike,instead of,rather than,isn't,anything but,nor,neither,except"
    },
    "affirmation": {"": "but,only,now,use,show,draw,make,paint"},
    "backdrop": {
        "living room": "living room,room,indoors,inside,sofa,couch,carpet,rug,bedroom,parlour,lounge,nursery",
        "evening": "evening,dusk,sunset,twilight,sundown,nightfall",
        "theatre": "theatre,theater,stage,curtain,curtains,opera",
        "sunflowers": "sunflower,sunflowers,sunflower field,field of sunflowers,wheat field,cornfield",
        "meadow": "meadow,grass,grassy,lawn,garden,field,pasture,park,grassland",
        "beach": "beach,sea,ocean,shore,seaside,coast,lagoon,water,seashore",
        "snow": "snow,snowy,winter,ice,wintry,snowfield",
        "night": "night,moon,moonlit,moonlight,starry,stars,midnight,night sky,at night",
    },
    "light": {
        "dim": "dim,dimly,dark,low light,gloomy,shadowy,underexposed,poorly lit,badly lit,faint light,darkened,"
        "dim light,half light",
        "even": "normal light,even light,evenly lit,medium light,ordinary light,normally lit,moderate light",
        "bright": "bright,brightly,sunny,well lit,daylight,overexposed,strong light,sunlit,brilliant,bright light,"
        "full light",
    },
    "focus": {
        "blurred": "blurred,blurry,out of focus,soft focus,hazy,unsharp,unfocused,fuzzy focus,soft,smeared",
        "sharp": "sharp,crisp,in focus,clear,well focused,sharply focused,sharp focus,clearly focused",
    },
    "size": {
        "small": "small,tiny,little,far away,distant,in the distance,far off,miniature",
        "medium": "medium sized,mid sized,medium size,medium,middle sized,moderately sized",
        "large": "large,big,huge,close up,closeup,up close,filling the frame,fills the frame,filling the picture,"
        "filling,zoomed in",
    },
    "across": {
        "left": "left,on the left,left hand,to the left",
        "centre": "centre,center,middle,centred,centered",
        "right": "right,on the right,right hand,to the right",
    },
    "down": {
        "top": "top,upper,at the top,high up",
        "bottom": "bottom,lower,at the bottom,low down",
    },
    "facing": {
        "left": "facing left,looking left,facing the left,turned left,looking to the left,facing to the left",
        "right": "facing right,looking right,facing the right,turned right,looking to the right,facing to the right",
    },
    "pose": {
        "standing": "standing,stands,stood,stand",
        "walking": "walking,walks,running,strolling,trotting,runs,walk",
        "sitting": "sitting,sits,seated,sat,sit",
        "lying": "lying,lies,resting,sleeping,laying,lie,lying down,asleep,reclining",
    },
}
