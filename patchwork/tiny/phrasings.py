"""How each thing can be asked: phrasings to learn from, and others kept for measuring. Knows no scene."""

from __future__ import annotations

import random
import re

LEARNT: dict[str, tuple[str, ...]] = {
    "colour": (
        "what colour is the {n}?",
        "what color is the {n}?",
        "which colour does the {n} have?",
        "which color is the {n}?",
        "the {n} is what colour?",
        "tell me the colour of the {n}.",
        "what is the colour of the {n}?",
        "what's the color of the {n}?",
        "colour of the {n}?",
        "in which colour is the {n} drawn?",
        "name the colour of the {n}.",
        "what colour does the {n} have?",
        "is the {n} red, blue or another colour?",
        "can you tell me the color of the {n}?",
        "how is the {n} coloured?",
        "say which colour the {n} is.",
    ),
    "kind": (
        "what is the {c} thing?",
        "what is the {c} object?",
        "what shape is the {c} thing?",
        "name the {c} object.",
        "which object is {c}?",
        "what {c} thing do you see?",
        "what's the {c} thing?",
        "what is {c} in the picture?",
        "which thing is {c}?",
        "what is the {c} one?",
        "name the {c} thing.",
        "tell me what the {c} object is.",
        "what kind of thing is {c}?",
        "identify the {c} object.",
        "what object is {c}?",
        "what is the {c} shape?",
    ),
    "size": (
        "how big is the {n}?",
        "what size is the {n}?",
        "is the {n} small, medium or large?",
        "how large is the {n}?",
        "tell me the size of the {n}.",
        "what is the size of the {n}?",
        "which size does the {n} have?",
        "how small is the {n}?",
        "size of the {n}?",
        "is the {n} large or small?",
        "is the {n} big or small?",
        "what's the size of the {n}?",
        "name the size of the {n}.",
        "how big is the {n} in the picture?",
        "of what size is the {n}?",
    ),
    "texture": (
        "what pattern does the {n} have?",
        "is the {n} plain, striped or dotted?",
        "what texture has the {n}?",
        "what is the pattern of the {n}?",
        "which pattern is on the {n}?",
        "what is the texture of the {n}?",
        "how is the {n} patterned?",
        "tell me the pattern of the {n}.",
        "pattern of the {n}?",
        "is the {n} striped or dotted?",
        "what's the pattern on the {n}?",
        "what texture does the {n} have?",
        "which texture has the {n}?",
        "name the pattern of the {n}.",
        "what kind of pattern does the {n} show?",
    ),
    "count": (
        "how many {s} are there?",
        "how many {s} do you see?",
        "count the {s}.",
        "how many {s} are in the picture?",
        "what is the number of {s}?",
        "how many {s}?",
        "how many {s} can you see?",
        "tell me how many {s} there are.",
        "how many {s} does the picture show?",
        "how many {s} are in the image?",
        "number of {s}?",
        "what number of {s} do you see?",
        "how many {s} can you find?",
        "give the number of {s}.",
        "count {s}.",
        "how many {s} are drawn?",
    ),
    "count all": (
        "how many things are there?",
        "how many objects are there?",
        "how many objects do you see?",
        "count the objects.",
        "how many things are in the picture?",
        "how many objects are in the picture?",
        "how many things do you see?",
        "count the things.",
        "how many objects can you see?",
        "what is the number of objects?",
        "how many shapes are there?",
        "how many objects are in the image?",
        "count everything.",
        "how many things in all?",
        "tell me how many objects there are.",
        "number of objects?",
    ),
    "is there": (
        "is there {a}?",
        "do you see {a}?",
        "can you see {a}?",
        "is {a} in the picture?",
        "does the picture show {a}?",
        "is there {a} in the picture?",
        "is {a} there?",
        "does the image contain {a}?",
        "can you find {a}?",
        "is there any sign of {a}?",
        "do you see {a} anywhere?",
        "is there {a} here?",
        "does it show {a}?",
        "is {a} in the image?",
        "does the picture have {a}?",
        "is {a} drawn here?",
    ),
    "left or right": (
        "is the {n} left or right of the {m}?",
        "is the {n} to the left or to the right of the {m}?",
        "on which side of the {m} is the {n}, left or right?",
        "is the {n} on the left or on the right of the {m}?",
        "left or right: on which side of the {m} is the {n}?",
        "left or right of the {m}: where is the {n}?",
        "is the {n} left or right from the {m}?",
        "on what side of the {m} do you see the {n}, left or right?",
        "seen from the {m}, is the {n} left or right?",
        "does the {n} lie left or right of the {m}?",
        "do you see the {n} left or right of the {m}?",
        "to which side of the {m} is the {n}, left or right?",
        "which side of the {m} is the {n} on, left or right?",
        "is the {n} right or left of the {m}?",
        "is the {n} to the right or to the left of the {m}?",
    ),
    "above or below": (
        "is the {n} above or below the {m}?",
        "is the {n} higher or lower than the {m}, above or below?",
        "above or below the {m}: where is the {n}?",
        "does the {n} lie above or below the {m}?",
        "is the {n} below or above the {m}?",
        "do you see the {n} above or below the {m}?",
        "seen from the {m}, is the {n} above or below?",
        "above or below: how does the {n} lie to the {m}?",
        "is the {n} over or under the {m}, above or below?",
        "is the {n} drawn above or below the {m}?",
        "is the {n} placed above or below the {m}?",
        "does the {n} stand above or below the {m}?",
        "is the {n} somewhere above or below the {m}?",
        "compared with the {m}, is the {n} above or below?",
        "where is the {n}, above or below the {m}?",
    ),
    "is it so": (
        "is the {n} {r} the {m}?",
        "is the {n} {r} the {m} in the picture?",
        "do you see the {n} {r} the {m}?",
        "does the {n} lie {r} the {m}?",
        "the {n} is {r} the {m}, is that right?",
        "is it true that the {n} is {r} the {m}?",
        "can you see the {n} {r} the {m}?",
        "would you say the {n} is {r} the {m}?",
        "yes or no: is the {n} {r} the {m}?",
        "yes or no, the {n} is {r} the {m}?",
        "tell me if the {n} is {r} the {m}.",
        "is the {n} drawn {r} the {m}?",
        "is the {n} placed {r} the {m}?",
        "does the picture show the {n} {r} the {m}?",
        "say whether the {n} is {r} the {m}.",
    ),
    "inside": (
        "what is inside the {m}?",
        "what is in the {m}?",
        "what lies inside the {m}?",
        "what do you see inside the {m}?",
        "which object is inside the {m}?",
        "which thing is in the {m}?",
        "what does the {m} contain?",
        "what is within the {m}?",
        "is anything inside the {m}?",
        "is there something inside the {m}?",
        "name the thing inside the {m}.",
        "what can you see in the {m}?",
        "what's inside the {m}?",
        "what's in the {m}?",
        "tell me what is inside the {m}.",
        "what is drawn inside the {m}?",
    ),
    "sign": (
        "what does the {n} say?",
        "what is written on the {n}?",
        "read the {n}.",
        "what is on the {n}?",
        "which word is on the {n}?",
        "what does it say on the {n}?",
        "what can you read on the {n}?",
        "what text is on the {n}?",
        "what is the text of the {n}?",
        "read what the {n} says.",
        "what stands on the {n}?",
        "tell me what the {n} says.",
        "what's written on the {n}?",
        "what is the word on the {n}?",
        "what word or number is on the {n}?",
        "what do you read on the {n}?",
    ),
    "where": (
        "where is the {n}?",
        "find the {n}.",
        "locate the {n}.",
        "show me the {n}.",
        "point to the {n}.",
        "give the box of the {n}.",
        "where do you see the {n}?",
        "where can i find the {n}?",
        "where in the picture is the {n}?",
        "what is the box of the {n}?",
        "give me the bounding box of the {n}.",
        "draw a box around the {n}.",
        "mark the {n}.",
        "where's the {n}?",
        "tell me where the {n} is.",
        "box of the {n}?",
    ),
    "what is in": (
        "what is in {b}?",
        "what is at {b}?",
        "describe {b}.",
        "which object is in {b}?",
        "what do you see in {b}?",
        "what is inside {b}?",
        "what lies in {b}?",
        "name the object in {b}.",
        "what does {b} show?",
        "what's in {b}?",
        "which thing is at {b}?",
        "what is in the box {b}?",
        "what is in this box: {b}?",
        "tell me what is in {b}.",
        "what can you see at {b}?",
        "describe the box {b}.",
    ),
    "describe": (
        "describe the picture.",
        "describe the image.",
        "what do you see?",
        "what is in the picture?",
        "what does the picture show?",
        "write a caption.",
        "describe this picture.",
        "what is this?",
        "what is in this image?",
        "describe this image.",
        "describe what you see.",
        "tell me what you see.",
        "what's in the picture?",
        "what is shown here?",
        "caption this.",
        "give a description.",
        "what can you see?",
        "describe the scene.",
    ),
}
KEPT: dict[str, tuple[str, ...]] = {
    "colour": (
        "what is the {n}'s colour?",
        "i want to know the colour of the {n}.",
        "please name the color of the {n}.",
    ),
    "kind": (
        "which object in the picture is {c}?",
        "what would you call the {c} thing?",
        "what do you call the {c} object?",
    ),
    "size": (
        "would you say the {n} is small, medium or large?",
        "how large does the {n} look?",
        "give the size of the {n}.",
    ),
    "texture": (
        "does the {n} have a pattern, and which?",
        "say which pattern the {n} has.",
        "what does the pattern of the {n} look like?",
    ),
    "count": ("please count the {s} for me.", "how many {s} have been drawn?", "what is the count of {s}?"),
    "count all": (
        "please count all objects.",
        "how many different objects are shown?",
        "how many things can you find?",
    ),
    "is there": ("is {a} visible?", "would you find {a} in this picture?", "does this scene show {a}?"),
    "left or right": (
        "where is the {n}, left or right of the {m}?",
        "looking from the {m}, is the {n} on the left or on the right?",
        "compared with the {m}, is the {n} left or right?",
    ),
    "above or below": (
        "do we find the {n} above or below the {m}?",
        "above the {m} or below it: where is the {n}?",
        "is the place of the {n} above or below the {m}?",
    ),
    "is it so": (
        "am i right that the {n} is {r} the {m}?",
        "would the {n} be {r} the {m}?",
        "check if the {n} is {r} the {m}.",
    ),
    "inside": (
        "what has been put inside the {m}?",
        "which thing do you find inside the {m}?",
        "describe what is inside the {m}.",
    ),
    "sign": ("please read the {n}.", "which word or number does the {n} carry?", "what are the letters on the {n}?"),
    "where": ("please find the {n}.", "at which place is the {n}?", "give the coordinates of the {n}."),
    "what is in": ("which object do you see at {b}?", "please describe {b}.", "what has been drawn in {b}?"),
    "describe": ("please describe the picture.", "what is going on in this picture?", "tell me about this image."),
}
"""Never trained on: they measure whether a question is understood or its wording remembered."""


def split_words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


UNKNOWN_LEARNT = split_words("""
    dog cat horse cow sheep pig bird duck chicken lion tiger elephant monkey mouse rabbit bear wolf
    snake spider bee man woman child baby boy girl person king doctor teacher friend mother father table
    chair sofa bed desk door window wall floor roof kitchen bathroom garden street road bridge river
    lake sea beach mountain hill forest field desert bicycle train plane ship truck motorbike helicopter
    rocket tractor apple banana pear grape lemon melon potato carrot onion tomato bread cheese egg cake
    pizza soup rice salad butter plate fork knife spoon glass bowl pan oven fridge computer phone
    keyboard screen camera radio television clock watch book pen paper pencil letter newspaper bag
    basket coin wallet ticket shirt dress shoe sock glove jacket coat scarf belt ball doll kite drum
    guitar piano violin trumpet hammer nail saw rope ladder brush bucket candle mirror pillow blanket
    towel soap planet sun rain snow finger hand foot eye nose mouth ear hair tooth bone dragon robot
    ghost castle tower church school hospital
""")
UNKNOWN_KEPT = split_words("""
    goat fox turtle butterfly nurse farmer bench carpet stairs island canyon tram scooter peach cherry
    sandwich kettle laptop printer magazine suitcase jumper trousers dice flute screwdriver shovel comb
    lightning knee beard wizard museum
""")
ELSEWHERE_LEARNT = (
    "what is the weather like?",
    "who are you?",
    "what is your name?",
    "tell me a joke.",
    "what is the capital of france?",
    "how old is the person?",
    "who painted this?",
    "write a poem.",
    "what day is it?",
    "who is in the photo?",
    "what is he doing?",
    "why is she smiling?",
    "what are they eating?",
    "translate this.",
    "which city is this?",
    "how much does it cost?",
    "what time is it?",
    "is it raining?",
    "where was this photo taken?",
    "what breed is it?",
    "solve this equation.",
    "hello!",
    "how are you?",
    "what is the meaning of life?",
)
ELSEWHERE_KEPT = (
    "which country is this?",
    "who is the president?",
    "tell me a story.",
    "what is she wearing?",
    "is he happy?",
)

BEFORE = (
    "hey, ",
    "ok, ",
    "so ",
    "hi, ",
    "well, ",
    "now ",
    "and now ",
    "next, ",
    "can you tell me ",
    "could you tell me ",
    "do you know ",
    "i wonder ",
    "i was wondering, ",
    "i would like to hear ",
    "in this picture, ",
    "in the image, ",
    "for this picture, ",
    "quick question: ",
    "let me ask: ",
    "one more: ",
    "help me: ",
    "say, ",
)
AFTER = (
    " please",
    ", please",
    " now",
    " here",
    " again",
    " exactly",
    " at all",
    " if you can",
    " in this picture",
    " in this image",
    ", thanks",
    " thank you",
    ", do you know",
    ", i wonder",
    ", can you tell",
)
STRAY = split_words("""
    really actually just exactly maybe simply clearly probably currently kindly quickly perhaps roughly truly indeed
    also then still even surely
""")
DROPPED = split_words("the is there of do you a")
SYNONYMS = (
    ("colour", "color"),
    ("picture", "image"),
    ("thing", "object"),
    ("things", "objects"),
    ("what is", "what's"),
    ("which", "what"),
    ("pattern", "texture"),
    ("big", "large"),
    ("tell me", "say"),
    ("do you see", "can you see"),
)


def swap(text: str, first: str, second: str) -> str:
    """Each for the other, as whole words."""
    other = {first: second, second: first}
    return re.sub(rf"\b({re.escape(first)}|{re.escape(second)})\b", lambda found: other[found[0]], text)


def disturb(phrasing: str, rng: random.Random) -> str:
    """A trained phrasing as people may type it: a filler, a stray word, a word left out, a synonym, another last sign.

    Names stand in braces and stay whole; what would come out as a kept phrasing is left as it was.
    """
    if rng.random() < 0.3:
        return phrasing
    text, sign = phrasing.rstrip("?."), phrasing[len(phrasing.rstrip("?.")) :]
    for pair in SYNONYMS:
        if rng.random() < 0.25:
            text = swap(text, *pair)
    words = text.split(" ")
    droppable = [i for i, word in enumerate(words) if word in DROPPED]
    if droppable and rng.random() < 0.3:
        del words[rng.choice(droppable)]
    gaps = [i for i, word in enumerate(words) if not word.startswith("{")]
    if gaps and rng.random() < 0.25:
        words.insert(rng.choice(gaps), rng.choice(STRAY))
    before = rng.choice(BEFORE) if rng.random() < 0.35 else ""
    after = rng.choice(AFTER) if rng.random() < 0.3 else ""
    text = before + " ".join(words) + after
    if any(text == kept.rstrip("?.") for several in KEPT.values() for kept in several):
        return phrasing
    return text + rng.choices((sign, "", 2 * sign, "?", "."), (6, 2, 1, 1, 1))[0]
