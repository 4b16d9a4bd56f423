"""Words that say what a drawing should show."""

from __future__ import annotations

from functools import lru_cache

from .colours import colour_words

# kind -> value -> phrases; longer phrases win over shorter ones, hyphens count as spaces
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


@lru_cache(maxsize=1)
def lexicon() -> dict[tuple[str, ...], tuple[str, object]]:
    """Kind and value of every phrase, by its words; colours have their red, green and blue as value."""
    entries: dict[tuple[str, ...], tuple[str, object]] = {
        tuple(name.split()): ("colour", colour) for name, colour in colour_words().items()
    }
    for kind, values in _WORDS.items():
        for value, phrases in values.items():
            entries |= {tuple(phrase.split()): (kind, value) for phrase in phrases.split(",")}
    return entries


LONGEST = 5
"""Most words in a phrase."""
