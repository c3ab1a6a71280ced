"""The bundled model's answer through the family code, beside a bare `generate` call of the same weights."""

from __future__ import annotations

import time

from bench.ratio import Ratio, compare, time_call

PROMPT = "Describe the picture."
NEW_TOKENS = 32


def load_bundled():
    """The bundled LLaVA through the engine: (model, its transformers model and processor, a drawn scene)."""
    from patchwork.catalog import load_catalog
    from patchwork.families import get_family
    from patchwork.hardware import detect
    from patchwork.plan import make_plan
    from patchwork.tiny import FRESH, draw_scene

    card = load_catalog().get("tiny-llava")
    model = get_family(card.family).load(card, make_plan(card, detect()), lambda message, fraction: None)
    return model, draw_scene(FRESH + 7)


def build_bare(model, image):
    """A plain transformers program: the same weights, the same prompt, no Patchwork code in the timed part."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from patchwork.images import letterbox

    folder = model.card.location
    processor = AutoProcessor.from_pretrained(folder)
    weights = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": PROMPT}]}]

    def generate(tokens: int) -> None:
        text = processor.apply_chat_template(messages, add_generation_prompt=True)
        inputs = processor(images=letterbox(image)[0], text=text, return_tensors="pt")
        with torch.inference_mode():
            weights.generate(**inputs, max_new_tokens=tokens, do_sample=False)

    return generate


def measure(pairs: int = 15) -> list[Ratio]:
    model, image = load_bundled()
    generate = build_bare(model, image)

    def first_piece() -> float:
        start = time.perf_counter()
        pieces = model.chat([image], PROMPT, max_new_tokens=NEW_TOKENS)
        next(pieces)
        seconds = time.perf_counter() - start
        pieces.close()
        return seconds

    def whole() -> float:
        return time_call(lambda: "".join(model.chat([image], PROMPT, max_new_tokens=NEW_TOKENS)))

    first_piece(), whole(), generate(NEW_TOKENS)
    return [
        compare(
            "bundled answer, first piece ÷ bare generate of 1 token",
            first_piece,
            lambda: time_call(lambda: generate(1)),
            pairs,
            "with preprocessing",
        ),
        compare(
            "bundled answer, whole ÷ bare generate",
            whole,
            lambda: time_call(lambda: generate(NEW_TOKENS)),
            pairs,
            "with preprocessing",
        ),
    ]
