"""Every shipped chapter: what it must hold, and what its quiz makes of a thousand seeds."""

import re

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    Blip2VisionConfig,
    Blip2VisionModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    InternVLVisionConfig,
    InternVLVisionModel,
    LlavaConfig,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from patchwork.lessons import load_chapters
from patchwork.ui.chapter import CONTENTS
from patchwork.ui.lesson import draw_end, draw_head, draw_prose
from patchwork.ui.quiz import draw_quiz
from patchwork.ui.theme import STATIC
from tests.node import ask_simulation

CHAPTERS = list(load_chapters().values())
SEEDS = 1000


@pytest.fixture(params=CHAPTERS, ids=lambda chapter: chapter.id, scope="module")
def chapter(request):
    return request.param


@pytest.fixture(scope="module")
def made(chapter):
    """What the page's own code makes of the chapter's generated questions."""
    questions = [question.model_dump() for question in chapter.quiz if question.generated]
    return ask_simulation(chapter.folder.name, questions=questions, seeds=SEEDS)


def test_the_table_of_contents_knows_it(chapter):
    entry = next(entry for entry in CONTENTS if entry.id == chapter.id)
    assert (entry.number, entry.title) == (chapter.number, chapter.title)


def test_every_tab_has_its_chapter():
    assert [chapter.id for chapter in CHAPTERS] == [entry.id for entry in CONTENTS]


def test_it_teaches_shows_runs_and_asks(chapter):
    kinds = [block.kind for block in chapter.blocks]
    assert chapter.simulation and "demo" in kinds
    assert len(chapter.quiz) >= 4 and any(question.generated for question in chapter.quiz)
    assert chapter.notes and chapter.sources
    assert "<dfn>" in "".join(block.text for block in chapter.blocks)


def test_the_simulation_counts_what_the_quiz_asks_for(chapter, made):
    assert made["id"] == chapter.id
    for question in chapter.quiz:
        assert set(question.generated) <= set(made["names"])


def test_a_thousand_seeds_have_one_right_option_each(chapter, made):
    for question in chapter.quiz:
        if not question.generated:
            continue
        for one in made["made"][question.id]:
            texts = [option["text"] for option in one["options"]]
            assert sum(option["correct"] for option in one["options"]) == 1
            assert len(set(texts)) == len(texts) >= 2, one
            words = " ".join([one["question"], *texts, *(option["why"] for option in one["options"])])
            assert not re.search(r"[{}]|undefined|NaN|Infinity", words), words
            assert all(len(option["why"]) >= 10 for option in one["options"])


def test_most_seeds_keep_every_option(chapter, made):
    """An option that comes out equal to the right one is left out; that must stay an exception."""
    for question in chapter.quiz:
        if question.generated:
            counts = [len(one["options"]) for one in made["made"][question.id]]
            assert sum(count == len(question.options) for count in counts) > 0.9 * len(counts)


def test_every_citation_leads_to_its_source(chapter):
    drawn = draw_end(chapter, CONTENTS)
    cited = set()
    for block in chapter.blocks:
        if block.kind == "prose":
            cited |= set(re.findall(rf'href="#({chapter.id}-source-\d+)"', draw_prose(block, chapter)))
    assert cited == set(re.findall(r'<li id="([\w-]+)"', drawn))
    assert all(f'href="{source.url}"' in drawn for source in chapter.sources)


def test_no_shared_sheet_styles_its_simulation(chapter):
    """The classes of a simulation's outermost element are its own, or a panel's rules would lay it out."""
    own = set(re.search(r'class="([^"]+)"', chapter.simulation.html)[1].split()) - {"pw-sim"}
    styled = re.compile(rf"\.({'|'.join(own)})(?![\w-])")
    assert own and not [path.name for path in STATIC.glob("*.css") if styled.search(path.read_text(encoding="utf-8"))]


def test_its_parts_can_be_drawn(chapter):
    assert f'data-chapter="{chapter.id}"' in draw_quiz(chapter)
    assert chapter.goal in draw_head(chapter, CONTENTS).replace("&#x27;", "'").replace("&quot;", '"')


# ---- chapters 0 and 1 against the engine


def build_towers() -> dict[str, torch.nn.Module]:
    """The picture sides of chapter 1's table, built without numbers."""
    clip = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
    base = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    shape = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}
    giant = {"hidden_size": 1408, "intermediate_size": 6144, "num_hidden_layers": 40, "num_attention_heads": 16}
    intern = {"hidden_size": 3200, "intermediate_size": 12800, "num_hidden_layers": 48, "num_attention_heads": 25}
    plain = {"use_qk_norm": True, "attention_bias": False, "norm_type": "rms_norm"}
    dino = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
    with torch.device("meta"):
        return {
            "CLIP ViT-L/14": CLIPVisionModel(CLIPVisionConfig(**clip, patch_size=14, image_size=336)),
            "SigLIP B/16": SiglipVisionModel(SiglipVisionConfig(**base, patch_size=16, image_size=224)),
            "SigLIP So400m/14": SiglipVisionModel(SiglipVisionConfig(**shape, patch_size=14, image_size=384)),
            "EVA-CLIP ViT-g/14": Blip2VisionModel(Blip2VisionConfig(**giant, patch_size=14, image_size=224)),
            "InternViT-6B": InternVLVisionModel(InternVLVisionConfig(**intern, **plain, patch_size=14, image_size=224)),
            "DINOv2 ViT-L/14": Dinov2Model(Dinov2Config(**dino, patch_size=14, image_size=518)),
        }


def test_the_encoders_table_is_what_their_architectures_hold():
    lesson = next(chapter for chapter in CHAPTERS if chapter.id == "encoders")
    text = "\n".join(block.text for block in lesson.blocks if block.kind == "prose")
    rows = [
        [re.sub(r"\[@.*?\]", "", cell).strip() for cell in row.split("|")] for row in text.splitlines() if "| " in row
    ]
    written = {row[1]: [cell.replace(",", "") for cell in row[2:6]] for row in rows}
    for name, tower in build_towers().items():
        config = tower.config
        patch = config.patch_size if isinstance(config.patch_size, int) else config.patch_size[0]
        known = [str(patch), str(config.hidden_size), str(config.num_hidden_layers)]
        assert written[name][:3] == known, name
        millions = sum(weights.numel() for weights in tower.parameters()) / 1e6
        assert float(written[name][3]) == pytest.approx(millions, abs=0.5), name


def test_merging_has_the_shapes_of_llava():
    """LLaVA-1.5's own configuration, as transformers has it."""
    config = LlavaConfig()
    side = config.vision_config.image_size // config.vision_config.patch_size
    (known,) = ask_simulation("ch00_modalities", states=[{"grid": side, "sentence": "Hi"}])["facts"]
    assert known["patches"] == config.image_seq_length
    assert known["side"] == config.vision_config.image_size


@pytest.mark.parametrize("side", [224, 336])
def test_patchify_counts_what_a_real_encoder_does(side):
    """CLIP ViT-L/14, run without numbers: torch itself counts its multiplications and additions."""
    config = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        patch_size=14,
        image_size=side,
        attn_implementation="eager",
    )
    with torch.device("meta"):
        model = CLIPVisionModel(config)
        pixels = torch.empty(1, 3, side, side)
    with FlopCounterMode(display=False) as counter:
        hidden = model(pixels).last_hidden_state
    (known,) = ask_simulation("ch01_encoders", states=[{"patch": 14, "side": side, "cls": True}])["facts"]
    assert known["tokens"] == hidden.shape[1]
    assert known["patches"] == hidden.shape[1] - 1
    assert known["flops"] == counter.get_total_flops()
