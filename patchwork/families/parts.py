"""Where a picture-reading model keeps its tower, projector and language model. Knows no checkpoint and runs nothing."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from patchwork.errors import Problem

TOWERS = ("vision_tower", "vision_model", "visual")
PROJECTORS = ("multi_modal_projector", "connector")
LANGUAGES = ("language_model", "text_model")


@dataclass(frozen=True)
class Parts:
    """The modules that a picture and a question pass through, and the id that the prompt holds for each patch.

    `language` is the decoder without its head; `head` turns its hidden states [B, T, D] into logits [B, T, vocabulary];
    `embed` turns token ids [B, T] into vectors [B, T, D]. With tied weights, `head` and `embed` share one tensor.
    """

    tower: nn.Module
    projector: nn.Module
    language: nn.Module
    head: nn.Module
    embed: nn.Module
    image_token_id: int

    @property
    def layers(self) -> list[nn.Module]:
        """The decoder's layers, first to last."""
        return list(self.language.layers)


def find_parts(model: nn.Module) -> Parts:
    """The parts of a LLaVA-like transformers model: LLaVA, LLaVA-NeXT, LLaVA-OneVision, Idefics3, SmolVLM.

    Raises `Problem` when the model is built differently (a bridge inside the tower, cross-attention, no picture).
    """
    inner = getattr(model, "model", model)
    return Parts(
        tower=find_part(model, inner, TOWERS, "a vision tower"),
        projector=find_part(model, inner, PROJECTORS, "a projector between picture and words"),
        language=find_part(model, inner, LANGUAGES, "a decoder of its own"),
        head=find_head(model),
        embed=model.get_input_embeddings(),
        image_token_id=find_image_token(model),
    )


def find_part(model: nn.Module, inner: nn.Module, names: tuple[str, ...], meaning: str) -> nn.Module:
    for name in names:
        part = getattr(inner, name, None)
        if isinstance(part, nn.Module):
            return part
    raise Problem(f"{type(model).__name__} cannot be taken apart here: it has no module that is {meaning}.")


def find_head(model: nn.Module) -> nn.Module:
    head = model.get_output_embeddings()
    if head is None:
        raise Problem(f"{type(model).__name__} cannot be taken apart here: it has no head that gives logits.")
    return head


def find_image_token(model: nn.Module) -> int:
    """Older configurations call it `image_token_index`; transformers answers to both names."""
    token = getattr(model.config, "image_token_id", None)
    if token is None:
        raise Problem(f"{type(model).__name__} cannot be taken apart here: its prompt holds no place for patches.")
    return int(token)
