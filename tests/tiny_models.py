"""Tiny random checkpoints of every family, saved as `from_pretrained` reads them. Knows no test."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import string
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from patchwork.catalog import Card
from patchwork.plan import Plan

SPECIAL = ["<pad>", "<s>", "</s>"]
TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}{{ message['role'] }}: "
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} assistant:{% endif %}"
)


def make_card(folder: Path, family: str, **more) -> Card:
    return Card(
        id=f"tiny-{family.replace('_', '-')}",
        title=f"Tiny {family}",
        family=family,
        repo=str(folder),
        licence="none",
        parameters=1,
        capabilities=more.pop("capabilities", frozenset()),
        **more,
    )


def make_plan(card: Card, precision: str = "fp32") -> Plan:
    return Plan(
        card_id=card.id,
        title=card.title,
        device="cpu",
        precision=precision,
        memory_bytes=0,
        download_bytes=0,
        cached=True,
        seconds=0,
        fits=True,
    )


def load_tiny(family: str, folder: Path, **more):
    """The family's own `load` on a folder that one of the builders below has written."""
    from patchwork.families import get_family

    card = make_card(folder, family, **more)
    return get_family(family).load(card, make_plan(card), lambda message, fraction: None)


def build_tokenizer(
    *extra: str, ends: bool = False, length: int = 512, unk_token: str | None = None, **named: str
) -> PreTrainedTokenizerFast:
    """Byte level, no merges: every text is readable. `ends` writes `<s> text </s>`. `named`: tokens that the processor
    asks the tokenizer for by an attribute of this name."""
    words = SPECIAL + ([unk_token] if unk_token else []) + list(extra) + sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token=unk_token,
        additional_special_tokens=list(extra),
        model_specific_special_tokens=named,
        model_max_length=length,
    )


def scale_weights(model: torch.nn.Module, factor: float = 6.0) -> torch.nn.Module:
    """Fresh weights give nearly uniform attention, on which wrong maps would pass; larger ones tell rows apart."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if any(part in name for part in ("q_proj", "k_proj", "in_proj", "probe")):
                weight.mul_(factor)
    return model.eval()


def save_talking(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, folder: Path, **more) -> None:
    """A random model may fall silent at once or say one thing for ever, and neither would prove anything: these answer
    in letters, never twice the same pair, and may not end."""
    letters = {tokenizer.convert_tokens_to_ids(letter) for letter in string.ascii_letters}
    others = [token for token in range(len(tokenizer)) if token not in letters]
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    model.generation_config.update(**ends, suppress_tokens=others, no_repeat_ngram_size=2, **more)
    model.save_pretrained(folder)


def vision_settings(**more) -> dict:
    return dict(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        **more,
    )


def text_settings(vocabulary: int, **more) -> dict:
    return dict(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        **more,
    )


def build_clip(folder: Path, **processing) -> Path:
    """Processing defaults to CLIP's own way: the shorter edge to 32 pixels, then the middle 32 × 32."""
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(0)
    tokenizer = build_tokenizer(ends=True, length=64)
    config = CLIPConfig(text_config=text_settings(len(tokenizer)), vision_config=vision_settings(), projection_dim=16)
    scale_weights(CLIPModel(config)).save_pretrained(folder)
    settings = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}} | processing
    CLIPProcessor(CLIPImageProcessorPil(**settings), tokenizer).save_pretrained(folder)
    return folder


def build_siglip(folder: Path) -> Path:
    """35 pixels with patches of 8: three pixels at the right and bottom are seen by no patch."""
    from transformers import SiglipConfig, SiglipModel, SiglipProcessor
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    torch.manual_seed(1)
    tokenizer = build_tokenizer(length=64)
    config = SiglipConfig(
        text_config=text_settings(len(tokenizer), projection_size=32),
        vision_config=vision_settings() | {"image_size": 35},
    )
    scale_weights(SiglipModel(config)).save_pretrained(folder)
    SiglipProcessor(SiglipImageProcessorPil(size={"height": 35, "width": 35}), tokenizer).save_pretrained(folder)
    return folder


def build_siglip2(folder: Path) -> Path:
    """At most twelve patches of 8 pixels, in the picture's own shape."""
    from transformers import Siglip2Config, Siglip2Model, Siglip2Processor
    from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

    torch.manual_seed(14)
    tokenizer = build_tokenizer(length=64)
    vision = vision_settings(num_patches=16)
    vision.pop("image_size")
    config = Siglip2Config(text_config=text_settings(len(tokenizer), projection_size=32), vision_config=vision)
    scale_weights(Siglip2Model(config)).save_pretrained(folder)
    Siglip2Processor(Siglip2ImageProcessorPil(patch_size=8, max_num_patches=12), tokenizer).save_pretrained(folder)
    return folder


def build_dinov2(folder: Path, registers: int = 0) -> Path:
    from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

    torch.manual_seed(2)
    settings = vision_settings(mlp_ratio=2)
    settings.pop("intermediate_size")
    if registers:
        model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_register_tokens=registers, **settings))
    else:
        model = Dinov2Model(Dinov2Config(**settings))
    scale_weights(model).save_pretrained(folder)
    BitImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


EVA = dict(img_size=32, patch_size=8, embed_dim=32, depth=3, num_heads=4, num_classes=16)


def build_timm(folder: Path) -> Path:
    """EVA-CLIP's architecture, small, in the two files that timm's own repositories hold."""
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(3)
    name = "eva02_base_patch16_clip_224"
    model = scale_weights(timm.create_model(name, pretrained=False, **EVA))
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / "model.safetensors")
    shape = {"input_size": [3, 32, 32], "num_classes": 16, "crop_pct": 0.9, "fixed_input_size": True}
    config = {
        "architecture": name,
        "num_classes": 16,
        "model_args": EVA,
        "pretrained_cfg": model.pretrained_cfg | shape,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def build_llava(folder: Path, **processing) -> Path:
    """A CLIP tower, and a decoder whose four query heads share two key heads (grouped-query attention)."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(4)
    tokenizer = build_tokenizer("<image>")
    text = text_settings(len(tokenizer)) | {"max_position_embeddings": 512, "num_key_value_heads": 2}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**vision_settings()),
        text_config=LlamaConfig(**text),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    model = scale_weights(LlavaForConditionalGeneration(config))
    model.generation_config.update(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    model.save_pretrained(folder)
    settings = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}} | processing
    LlavaProcessor(
        CLIPImageProcessorPil(**settings),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        image_token="<image>",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    return folder


def build_idefics3(folder: Path) -> Path:
    """A SigLIP tower of 32 × 32 pixels, 16 patches, pixel shuffle by 2: four image tokens a view."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    torch.manual_seed(5)
    places = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    marks = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *places]
    tokenizer = build_tokenizer(*marks)
    text = text_settings(len(tokenizer)) | {"max_position_embeddings": 512, "num_key_value_heads": 2}
    config = Idefics3Config(
        vision_config=vision_settings(),
        text_config={"model_type": "llama"} | text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    model = scale_weights(Idefics3ForConditionalGeneration(config))
    model.generation_config.update(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    model.save_pretrained(folder)
    processor = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    Idefics3Processor(processor, tokenizer, image_seq_len=4, chat_template=TEMPLATE).save_pretrained(folder)
    return folder


def build_smolvlm2(folder: Path) -> Path:
    """As Idefics3 above; tokens as in transformers' processing_smolvlm.py."""
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    torch.manual_seed(8)
    places = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    tokenizer = build_tokenizer("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *places)
    text = text_settings(len(tokenizer)) | {"max_position_embeddings": 512, "num_key_value_heads": 2}
    config = SmolVLMConfig(
        vision_config=vision_settings(),
        text_config={"model_type": "llama"} | text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    save_talking(scale_weights(SmolVLMForConditionalGeneration(config)), tokenizer, folder)
    sides = {"size": {"longest_edge": 100}, "max_image_size": {"longest_edge": 32}}
    video = SmolVLMVideoProcessor(**sides)
    SmolVLMProcessor(
        SmolVLMImageProcessor(**sides), tokenizer, video, image_seq_len=4, chat_template=TEMPLATE
    ).save_pretrained(folder)
    return folder


def build_llava_next(folder: Path) -> Path:
    """Canvases as in llava-hf/llava-v1.6-mistral-7b-hf (2×1, 1×2, 2×2, 3×1, 1×3 tiles), with tiles of 32 pixels."""
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration, LlavaNextProcessor
    from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

    torch.manual_seed(9)
    tokenizer = build_tokenizer("<image>")
    text = text_settings(len(tokenizer)) | {"max_position_embeddings": 512, "num_key_value_heads": 2}
    grids = [[32, 64], [64, 32], [64, 64], [96, 32], [32, 96]]
    config = LlavaNextConfig(
        vision_config={"model_type": "clip_vision_model"} | vision_settings(),
        text_config={"model_type": "llama"} | text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grids,
    )
    save_talking(scale_weights(LlavaNextForConditionalGeneration(config)), tokenizer, folder)
    side = {"height": 32, "width": 32}
    LlavaNextProcessor(
        LlavaNextImageProcessorPil(size={"shortest_edge": 32}, crop_size=side, image_grid_pinpoints=grids),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    return folder


def build_llava_onevision(folder: Path) -> Path:
    """Every canvas of up to 4 × 4 tiles of 32 pixels (6 × 6 of 384 in llava-hf/llava-onevision-qwen2-0.5b-ov-hf), and a
    limit of the patches of four tiles, which large pictures reach."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    torch.manual_seed(10)
    tokenizer = build_tokenizer("<image>", "<video>")
    text = text_settings(len(tokenizer)) | {"max_position_embeddings": 512, "num_key_value_heads": 2}
    grids = [[32 * rows, 32 * columns] for rows in range(1, 5) for columns in range(1, 5)]
    config = LlavaOnevisionConfig(
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False} | vision_settings(),
        text_config={"model_type": "qwen2"} | text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grids,
        vision_aspect_ratio="anyres_max_4",
    )
    save_talking(scale_weights(LlavaOnevisionForConditionalGeneration(config)), tokenizer, folder)
    side = {"height": 32, "width": 32}
    LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size=side, image_grid_pinpoints=grids),
        tokenizer,
        LlavaOnevisionVideoProcessor(size=side),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
        vision_aspect_ratio="anyres_max_4",
    ).save_pretrained(folder)
    return folder


def build_kosmos2(folder: Path) -> Path:
    """Four latent queries; tokens as in transformers' processing_kosmos2.py, ids after `<unk>` for the picture."""
    from transformers import Kosmos2Config, Kosmos2ForConditionalGeneration, Kosmos2Processor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(11)
    tokenizer = build_tokenizer(unk_token="<unk>")
    side = {"height": 32, "width": 32}
    processor = Kosmos2Processor(CLIPImageProcessorPil(size=side, crop_size=side), tokenizer)
    text = {"embed_dim": 32, "layers": 2, "ffn_dim": 48, "attention_heads": 4, "max_position_embeddings": 512}
    text |= {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = Kosmos2Config(vision_config=vision_settings(), text_config=text, latent_query_num=4)
    save_talking(scale_weights(Kosmos2ForConditionalGeneration(config)), tokenizer, folder)
    processor.save_pretrained(folder)
    return folder


def build_paligemma(folder: Path) -> Path:
    """Sixteen patches, sixteen tokens; tokens as in transformers' processing_paligemma.py."""
    from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration, PaliGemmaProcessor
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    torch.manual_seed(12)
    tokenizer = build_tokenizer("<image>", image_token="<image>")
    pictures = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    pictures.image_seq_length = 16
    processor = PaliGemmaProcessor(pictures, tokenizer)
    text = text_settings(len(tokenizer)) | {"max_position_embeddings": 512, "num_key_value_heads": 1, "head_dim": 8}
    config = PaliGemmaConfig(
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False} | vision_settings(),
        text_config={"model_type": "gemma"} | text,
        projection_dim=32,
        image_token_id=tokenizer.image_token_id,
    )
    save_talking(scale_weights(PaliGemmaForConditionalGeneration(config)), tokenizer, folder)
    processor.save_pretrained(folder)
    return folder


def build_internvl(folder: Path) -> Path:
    """Tiles of 32 pixels and four tokens; named tokens as in OpenGVLab/InternVL3-1B-hf (tokenizer_config.json)."""
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    torch.manual_seed(13)
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    tokenizer = build_tokenizer(*named.values(), "<video>", video_token="<video>", **named)
    text = text_settings(len(tokenizer)) | {"max_position_embeddings": 512, "num_key_value_heads": 2}
    config = InternVLConfig(
        vision_config=vision_settings() | {"image_size": [32, 32], "patch_size": [8, 8]},
        text_config={"model_type": "qwen2"} | text,
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
    )
    save_talking(scale_weights(InternVLForConditionalGeneration(config)), tokenizer, folder)
    side = {"height": 32, "width": 32}
    InternVLProcessor(
        GotOcr2ImageProcessor(size=side, max_patches=6, crop_to_patches=True),
        tokenizer,
        InternVLVideoProcessor(size=side),
        image_seq_length=4,
        chat_template=TEMPLATE.replace("<image>", "<IMG_CONTEXT>"),
    ).save_pretrained(folder)
    return folder


def build_vision_encoder_decoder(folder: Path, kind: str = "nougat") -> Path:
    """Swin and mBART, as facebook/nougat-small and naver-clova-ix/donut-base have them, on pages of 96 × 64 pixels."""
    from transformers import (
        DonutProcessor,
        DonutSwinConfig,
        MBartConfig,
        NougatProcessor,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
    )
    from transformers.models.donut.image_processing_pil_donut import DonutImageProcessorPil
    from transformers.models.nougat.image_processing_pil_nougat import NougatImageProcessorPil

    torch.manual_seed(15)
    tokenizer = build_tokenizer("<s_docvqa>", "<s_question>", "</s_question>", "<s_answer>", "<s_cord-v2>")
    size = {"height": 96, "width": 64}
    stages = {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4, "patch_size": 4}
    text = {"d_model": 16, "decoder_ffn_dim": 24, "decoder_attention_heads": 2, "decoder_layers": 2}
    text |= {"is_decoder": True, "add_cross_attention": True, "max_position_embeddings": 256}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "decoder_start_token_id": 1}
    config = VisionEncoderDecoderConfig(
        encoder=DonutSwinConfig(image_size=[96, 64], **stages).to_dict(),
        decoder=MBartConfig(vocab_size=len(tokenizer), **text, **ends).to_dict(),
        **ends,
    )
    model = scale_weights(VisionEncoderDecoderModel(config))
    save_talking(model, tokenizer, folder, decoder_start_token_id=1, forced_eos_token_id=None)
    if kind == "nougat":
        NougatProcessor(NougatImageProcessorPil(size=size), tokenizer).save_pretrained(folder)
    else:
        DonutProcessor(DonutImageProcessorPil(size=size), tokenizer).save_pretrained(folder)
    return folder


def build_idefics(folder: Path) -> Path:
    """A resampler of five latents, cross-attention before every layer; marks as in transformers'
    processing_idefics.py."""
    from transformers import IdeficsConfig, IdeficsForVisionText2Text, IdeficsImageProcessor, IdeficsProcessor

    torch.manual_seed(16)
    tokenizer = build_tokenizer("<fake_token_around_image>", "<image>", "<end_of_utterance>", image_token="<image>")
    vision = vision_settings() | {"embed_dim": 32}
    resampler = {"resampler_n_latents": 5, "resampler_depth": 1, "resampler_n_heads": 2, "resampler_head_dim": 8}
    config = IdeficsConfig(
        **text_settings(len(tokenizer)) | {"max_position_embeddings": 512},
        vision_config=vision,
        perceiver_config=resampler | {"use_resampler": True},
        use_resampler=True,
        alpha_initializer="ones",
    )
    save_talking(scale_weights(IdeficsForVisionText2Text(config)), tokenizer, folder)
    IdeficsProcessor(IdeficsImageProcessor(image_size=32), tokenizer).save_pretrained(folder)
    return folder


def build_lfm2_vl(folder: Path) -> Path:
    """Tiles of 32 pixels, patches of 8, merged by two; one layer of convolution, one of attention; tokens as in
    transformers' processing_lfm2_vl.py."""
    from transformers import Lfm2VlConfig, Lfm2VlForConditionalGeneration, Lfm2VlImageProcessor, Lfm2VlProcessor

    torch.manual_seed(17)
    places = [f"<|img_row_{row}_col_{column}|>" for row in range(1, 7) for column in range(1, 7)]
    tokenizer = build_tokenizer("<image>", "<|image_start|>", "<|image_end|>", "<|img_thumbnail|>", *places)
    vision = vision_settings(num_patches=16)
    vision.pop("image_size")
    text = text_settings(len(tokenizer)) | {"max_position_embeddings": 512, "num_key_value_heads": 2}
    config = Lfm2VlConfig(
        vision_config={"model_type": "siglip2_vision_model", "vision_use_head": False} | vision,
        text_config={"model_type": "lfm2"} | text | {"layer_types": ["conv", "full_attention"]},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        projector_hidden_size=32,
    )
    save_talking(scale_weights(Lfm2VlForConditionalGeneration(config)), tokenizer, folder)
    bounds = {"min_image_tokens": 2, "max_image_tokens": 6, "max_tiles": 6}
    pictures = Lfm2VlImageProcessor(encoder_patch_size=8, tile_size=32, **bounds)
    Lfm2VlProcessor(pictures, tokenizer, chat_template=TEMPLATE).save_pretrained(folder)
    return folder


def build_blip2(folder: Path) -> Path:
    """Four queries; OPT, as Salesforce/blip2-opt-2.7b has it."""
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    torch.manual_seed(18)
    tokenizer = build_tokenizer("<image>")
    queries = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    text = {"vocab_size": len(tokenizer), "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 4, "word_embed_proj_dim": 32, "max_position_embeddings": 256}
    config = Blip2Config(
        vision_config=vision_settings(),
        qformer_config=queries | {"encoder_hidden_size": 32, "vocab_size": 8},
        text_config={"model_type": "opt"} | text | {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    save_talking(scale_weights(Blip2ForConditionalGeneration(config)), tokenizer, folder)
    pictures = BlipImageProcessorPil(size={"height": 32, "width": 32})
    Blip2Processor(pictures, tokenizer, num_query_tokens=4).save_pretrained(folder)
    return folder


def build_got_ocr2(folder: Path) -> Path:
    """Pages of 32 pixels in patches of 2: sixteen tokens; marks as in transformers' processing_got_ocr2.py."""
    from transformers import GotOcr2Config, GotOcr2ForConditionalGeneration, GotOcr2Processor
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    torch.manual_seed(19)
    tokenizer = build_tokenizer("<|im_start|>", "<|im_end|>", "<img>", "</img>", "<imgpad>")
    vision = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 2}
    vision |= {"mlp_dim": 24, "output_channels": 8, "window_size": 4, "global_attn_indexes": [1]}
    text = text_settings(len(tokenizer)) | {"max_position_embeddings": 1024, "num_key_value_heads": 2}
    config = GotOcr2Config(
        vision_config=vision | {"initializer_range": 0.02},
        text_config={"model_type": "qwen2"} | text,
        image_token_index=tokenizer.convert_tokens_to_ids("<imgpad>"),
    )
    save_talking(scale_weights(GotOcr2ForConditionalGeneration(config)), tokenizer, folder)
    GotOcr2Processor(GotOcr2ImageProcessorPil(size={"height": 32, "width": 32}), tokenizer).save_pretrained(folder)
    return folder


def build_florence2(folder: Path) -> Path:
    """DaViT with a stride of 32 on 64 × 64 pixels: 2 × 2 patches and their mean, five image tokens (24 × 24 + 1 in
    microsoft/Florence-2-base). Tokens and post-processing as in transformers' convert_florence2_original_pytorch_to_hf.
    """
    from transformers import Florence2Config, Florence2ForConditionalGeneration, Florence2Processor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(6)
    tokenizer = build_tokenizer("<image>", *(f"<loc_{n}>" for n in range(1000)), image_token="<image>")
    stages = {"depths": [1] * 4, "embed_dim": [8, 8, 16, 16], "num_heads": [2] * 4, "num_groups": [2] * 4}
    text = {"d_model": 16, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "encoder_attention_heads": 2}
    text |= {"decoder_attention_heads": 2, "encoder_layers": 2, "decoder_layers": 2, "vocab_size": len(tokenizer)}
    config = Florence2Config(
        vision_config=stages | {"window_size": 2, "projection_dim": 16, "max_position_embeddings": 8},
        text_config={"model_type": "bart"} | text | {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
        image_token_id=tokenizer.image_token_id,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        decoder_start_token_id=2,
    )
    model = scale_weights(Florence2ForConditionalGeneration(config))
    save_talking(model, tokenizer, folder, num_beams=3, decoder_start_token_id=2, forced_eos_token_id=None)
    tasks = ("pure_text", "description_with_bboxes", "bboxes", "ocr", "phrase_grounding")
    side = {"height": 64, "width": 64}
    pictures = CLIPImageProcessorPil(size=side, crop_size=side, do_center_crop=False)
    pictures.image_seq_length = 5
    Florence2Processor(pictures, tokenizer, post_processor_config={task: {} for task in tasks}).save_pretrained(folder)
    return folder


QWEN_TOKENS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
]
QWEN_PLACES = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_THOUGHTS = "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
QWENS = {  # how wide the towers are, which differs between the generations (their configuration_*.py)
    "qwen2_vl": {"embed_dim": 32, "hidden_size": 32, "mlp_ratio": 1},
    "qwen2_5_vl": {"hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 32, "fullatt_block_indexes": [1]},
    "qwen3_vl": {"hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 32, "deepstack_visual_indexes": [0]},
    "qwen3_5": {"hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 32},
}


def build_qwen_vl(folder: Path, kind: str = "qwen2_vl") -> Path:
    """Merged patches of 2 × 2; marks and template as in Qwen/Qwen2-VL-2B-Instruct (tokenizer_config.json). Qwen3.5
    mixes linear with full attention, three layers to one; here one to one."""
    from transformers import (
        AutoConfig,
        AutoModelForImageTextToText,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    torch.manual_seed(7)
    tokenizer = build_tokenizer(*QWEN_TOKENS, *QWEN_PLACES)
    ids = dict(zip(QWEN_PLACES, tokenizer.convert_tokens_to_ids(QWEN_PLACES), strict=True))
    newer = kind in ("qwen3_vl", "qwen3_5")
    patch = 16 if newer else 14
    vision = {"depth": 2, "num_heads": 2, "patch_size": patch, "num_position_embeddings": 16, "window_size": 56}
    text = text_settings(len(tokenizer)) | {"max_position_embeddings": 2048, "head_dim": 16}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 1}
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    if kind == "qwen3_5":
        heads = {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
        widths = {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
        text |= heads | widths | {"layer_types": ["linear_attention", "full_attention"]}
        text["rope_parameters"] |= {"partial_rotary_factor": 1.0}
    marks = {f"{mark}_token_id": ids[f"<|{name}|>"] for mark, name in (("image", "image_pad"), ("video", "video_pad"))}
    marks |= {f"vision_{end}_token_id": ids[f"<|vision_{end}|>"] for end in ("start", "end")}
    config = AutoConfig.for_model(kind, vision_config=vision | QWENS[kind], text_config=text, **marks)
    save_talking(scale_weights(AutoModelForImageTextToText.from_config(config)), tokenizer, folder)
    bounds = {"shortest_edge": 4 * (2 * patch) ** 2, "longest_edge": 40 * (2 * patch) ** 2}
    pictures = Qwen2VLImageProcessor(patch_size=patch, size=bounds)
    processor, video = (Qwen3VLProcessor, Qwen3VLVideoProcessor) if newer else (Qwen2VLProcessor, Qwen2VLVideoProcessor)
    template = QWEN_TEMPLATE + (NO_THOUGHTS if kind == "qwen3_5" else "")
    processor(pictures, tokenizer, video(patch_size=patch), chat_template=template).save_pretrained(folder)
    return folder


BUILDERS = {
    "clip": build_clip,
    "siglip": build_siglip,
    "siglip2": build_siglip2,
    "dinov2": build_dinov2,
    "timm_vit": build_timm,
    "llava": build_llava,
    "idefics3": build_idefics3,
    "florence2": build_florence2,
    "qwen_vl": build_qwen_vl,
    "smolvlm2": build_smolvlm2,
    "llava_next": build_llava_next,
    "llava_onevision": build_llava_onevision,
    "kosmos2": build_kosmos2,
    "paligemma": build_paligemma,
    "internvl": build_internvl,
    "lfm2_vl": build_lfm2_vl,
    "blip2": build_blip2,
    "got_ocr2": build_got_ocr2,
    "idefics": build_idefics,
    "granite_docling": build_idefics3,
    "vision_encoder_decoder": build_vision_encoder_decoder,
}
KINDS = {"qwen_vl": ("qwen2_5_vl", "qwen3_vl", "qwen3_5"), "vision_encoder_decoder": ("donut",)}
"""Families of several architectures; the builder's own default is not repeated."""


@functools.cache
def shared_folder(name: str, registers: int = 0) -> Path:
    """Built once for all tests, which only read it. `name`: a family, or one of its `KINDS` as "family:kind"."""
    folder = Path(tempfile.mkdtemp(prefix="patchwork-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    family, _, kind = name.partition(":")
    options = {"registers": registers} if registers else {"kind": kind} if kind else {}
    return BUILDERS[family](folder, **options)
