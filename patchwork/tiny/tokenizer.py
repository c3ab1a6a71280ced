"""Byte-level BPE learnt on the toy world's own sentences; two-digit coordinates are one token each."""

from __future__ import annotations

import random

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from patchwork.tiny.questions import REFUSAL, make_turns
from patchwork.tiny.world import invent_scene

SPECIAL = ["<pad>", "<s>", "</s>", "<image>", "<|user|>", "<|assistant|>"]
PAD, BOS, EOS, IMAGE, USER, ASSISTANT = range(6)
TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def sentences(count: int = 6000):
    rng = random.Random(0)
    for seed in range(count):
        for turn in make_turns(invent_scene(10_000_000 + seed), rng):
            yield turn.question
            yield turn.answer
        yield REFUSAL
    for n in range(100):
        for _ in range(60):
            yield f"[{n:02d} {n:02d}"
    yield "abcdefghijklmnopqrstuvwxyz"


def train_tokenizer(vocabulary: int = 900) -> Tokenizer:
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
    tokenizer.train_from_iterator(sentences(), trainer)
    return tokenizer


def wrap_tokenizer(tokenizer: Tokenizer, clip: bool = False) -> PreTrainedTokenizerFast:
    """For chat no token is added (the template writes them); for CLIP every text is <s> … </s>."""
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    if clip:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
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
