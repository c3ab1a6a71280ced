"""Two small networks that are told what a scene holds and what a caption says, and learn where to put both.

They see no picture and read no words: a scene is a list of objects, a caption a list of claims. So they learn in
minutes what takes a CLIP hours: one vector for a picture that holds which object has which colour and lies where. The
CLIP's towers then begin by imitating them (`stage_clip.py`), and they are dropped.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from patchwork.tiny.captions import LINKS, PLACES, Caption, Mention
from patchwork.tiny.data import ATTRIBUTES
from patchwork.tiny.world import Scene, Thing, is_inside

TOLD = ("kind", "colour", "size", "texture", "word", "tens", "ones")
INNER, MOST = 384, 10  # of a hidden layer; facts of one object
SCALE = 3.6  # the logarithm of the first logit scale


def number_facts() -> dict[tuple, int]:
    """Everything that can be said of one object, numbered from 1 (0 says nothing)."""
    facts = [(name, value) for name in TOLD for value in ATTRIBUTES[name]]
    facts += [(f"in {name}", value) for name in ("kind", "colour") for value in ATTRIBUTES[name]]
    facts += [("link", link, side) for link in LINKS for side in (0, 1)] + [("place", place) for place in PLACES]
    return {fact: number for number, fact in enumerate(facts, start=1)}


FACTS = number_facts()


def number_text(text: str) -> list[int]:
    if text.isdigit():
        return [FACTS["word", "a number"], FACTS["tens", text[0]], FACTS["ones", text[1]]]
    return [FACTS["word", text or "no text"]]


def number_thing(thing: Thing, scene: Scene) -> list[int]:
    """All that is so of an object, also what it lies inside of."""
    facts = [FACTS[name, getattr(thing, name)] for name in ("kind", "colour", "size", "texture")]
    outer = next((other for other in scene.things if is_inside(thing, other)), None)
    inside = [FACTS["in kind", outer.kind], FACTS["in colour", outer.colour]] if outer else []
    return [*facts, *number_text(thing.text), *inside]


def number_mention(caption: Caption, side: int) -> list[int]:
    """What a caption says of one of its objects, its side of the relation included."""
    one: Mention = caption.mentions[side]
    facts = [FACTS[name, getattr(one, name)] for name in ("kind", "colour", "size", "texture") if getattr(one, name)]
    facts += number_text(one.text) if one.text else []
    facts += [FACTS["link", caption.link, side]] if caption.link else []
    return facts + ([FACTS["place", caption.place]] if caption.place else [])


class Teacher(nn.Module):
    """Sets of facts, each through an MLP, added up to one unit vector for each scene or caption."""

    def __init__(self, width: int, places: int = 0) -> None:
        super().__init__()
        self.facts = nn.Embedding(len(FACTS) + 1, INNER, padding_idx=0)
        nn.init.normal_(self.facts.weight[1:], std=0.3)  # 0 stays 0: it says nothing
        self.place = nn.Linear(places, INNER) if places else None
        self.inner, self.out = nn.Linear(INNER, INNER), nn.Linear(INNER, width)

    def forward(self, facts: list[list[int]], owners: list[int], places: list[list[float]] | None = None):
        """`facts` of each object, `owners`: whose it is, `places` [objects, 3] → [owners, width]."""
        device = self.out.weight.device
        hidden = self.facts(torch.tensor([row + [0] * (MOST - len(row)) for row in facts], device=device)).sum(1)
        if self.place is not None:
            hidden = hidden + self.place(torch.tensor(places, device=device))
        vectors = self.out(F.gelu(self.inner(F.gelu(hidden))))
        total = torch.zeros(owners[-1] + 1, vectors.shape[1], device=device)
        return F.normalize(total.index_add(0, torch.tensor(owners, device=device), vectors), dim=-1)


class Teachers(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.scene, self.caption = Teacher(width, places=3), Teacher(width)
        self.scale = nn.Parameter(torch.tensor(SCALE))

    def embed_scenes(self, scenes: list[Scene]) -> torch.Tensor:
        """[scenes, width]"""
        return self.embed_things([(row, thing, scene) for row, scene in enumerate(scenes) for thing in scene.things])

    def embed_objects(self, scenes: list[Scene]) -> torch.Tensor:
        """Each object as if it were alone where it is: [objects, width]."""
        things = [(thing, scene) for scene in scenes for thing in scene.things]
        return self.embed_things([(row, *one) for row, one in enumerate(things)])

    def embed_things(self, things: list[tuple[int, Thing, Scene]]) -> torch.Tensor:
        places = [[*(4 * value - 2 for value in thing.centre), 10 * thing.half] for _, thing, _ in things]
        return self.scene(
            [number_thing(thing, scene) for _, thing, scene in things], [row for row, *_ in things], places
        )

    def embed_captions(self, captions: list[Caption]) -> torch.Tensor:
        """[captions, width]"""
        sides = [(row, caption, side) for row, caption in enumerate(captions) for side in range(len(caption.mentions))]
        return self.caption([number_mention(caption, side) for _, caption, side in sides], [row for row, *_ in sides])
