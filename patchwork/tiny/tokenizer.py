"""Byte-level BPE learnt on the toy world's own sentences; two-digit coordinates are one token each."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from patchwork.tiny.captions import write_caption
from patchwork.tiny.catalogue import invent_page
from patchwork.tiny.page_questions import ask_page
from patchwork.tiny.questions import REFUSAL, make_turns
from patchwork.tiny.shapes import KINDS
from patchwork.tiny.world import COLOURS, WORDS, invent_scene

SPECIAL = ["<pad>", "<s>", "<image>", "</s>", "<|user|>", "<|assistant|>"]
PAD, BOS, IMAGE, EOS, USER, ASSISTANT = range(6)  # EOS must not be 2: CLIP's text model then pools the highest id
SAMPLES = 500_000_000
"""First seed of the scenes that only the tokenizers see."""
TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def write_samples(count: int = 6000) -> Iterator[str]:
    """Sentences of every kind that is asked or answered, from scenes no training draws."""
    rng = random.Random(0)
    for seed in range(count):
        for turn in make_turns(invent_scene(SAMPLES + seed), rng):
            yield turn.question
            yield turn.answer
        question, answer, _ = ask_page(invent_page(SAMPLES + seed), rng, two=seed % 4 == 0)
        yield from (question, answer, REFUSAL)
    for first in range(100):
        yield from 60 * [f"[{first:02d} {first:02d}"]
    yield "abcdefghijklmnopqrstuvwxyz"


def write_caption_samples(count: int = 6000) -> Iterator[str]:
    rng = random.Random(0)
    for seed in range(count):
        yield str(write_caption(invent_scene(SAMPLES + seed), rng))
    for colour, kind, word in product(COLOURS, KINDS, WORDS):
        yield f"a {colour} {kind} saying {word}"


def train_tokenizer(samples: Iterator[str], vocabulary: int = 1000) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\d\d(?!\d)| ?\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(samples, trainer)
    return tokenizer


def wrap_tokenizer(tokenizer: Tokenizer, clip: bool = False) -> PreTrainedTokenizerFast:
    """For chat no token is added (the template writes them); for CLIP every text is <s> … </s>."""
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    if clip:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
        )
    names = dict(bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=77 if clip else 2048)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        clean_up_tokenization_spaces=False,
        **names,
        **({} if clip else {"additional_special_tokens": ["<image>", "<|user|>", "<|assistant|>"]}),
    )
    if not clip:
        fast.image_token = "<image>"
        fast.chat_template = TEMPLATE
    return fast
