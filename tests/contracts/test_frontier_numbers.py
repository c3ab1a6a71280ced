"""Chapter 9: its numbers against the documents they came from and against the processors of real families."""

import re

import pytest
import torch
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor
from transformers.video_utils import VideoMetadata

from patchwork.lessons import load_chapters
from tests.node import ask_simulation

LESSON = load_chapters()["frontier"]
SCRIPT = LESSON.simulation.js
HOUR = 3600
STATE = {"models": ["qwen2vl7"], "order": ["mmmu"], "who": "any", "low": 0}

# Copied from the documents themselves, in their own units: row of the table, model, what stands there.
DOCUMENTS = {
    "openvlm": ("gpt4o 69.2 61.3 73.6", "claude35 65.9 61.6 78.8", "gemini15 60.6 57.7 75.4", "gpt4t 61.7 54.7 65.6"),
    "qwen2vl": (
        "qwen2vl72 64.5 70.5 96.5 88.3 87.7 77.8 71.2",
        "qwen2vl7 54.1 58.2 94.5 83.0 84.5 70.1 63.3",
        "gpt4o 69.1 92.8 85.7 75.4",
        "claude35 68.3 95.2 90.8 60.1",
    ),
    "qwen25vl": ("qwen25vl3 53.1 62.3 93.9 61.5", "qwen25vl72 70.2 74.8 96.4 73.3"),
    "internvl2": (
        "internvl40 53.9 93.9 86.2 83.7 71.8",
        "gemini15 58.5 86.5 81.3 67.5",
        "gpt4t 63.1 87.2 78.1 67.8 68.0",
    ),
    "vlmevalkit": ("llava15 36.2 23.6",),
    "lmmseval": ("qwen25vl3 61.0 83.4 79.1 59.1",),
}


def read_scores(model: str, source: str) -> list[float]:
    """The scores that the simulation takes from one document for one model, in the order of the radar's spokes."""
    block = re.search(rf"\n  {model}: \{{name.*?\n  \}}\}},", SCRIPT, re.DOTALL)[0]
    return [float(score) for score in re.findall(rf"\((\d+\.\d+), \"{source}\"\)", block)]


@pytest.mark.parametrize("source", DOCUMENTS)
def test_the_scores_are_the_documents(source):
    for row in DOCUMENTS[source]:
        model, *scores = row.split()
        assert read_scores(model, source) == [float(score) for score in scores], model


def test_every_document_of_the_radar_is_a_source_of_the_lesson():
    cited = {source.key: source for source in LESSON.sources}
    used = re.findall(r"\n  (\w+): \{name: \"[^\"]+\", date: \"([^\"]+)\", url: \"([^\"]+)\"\}", SCRIPT)
    assert len(used) == 13
    for key, date, url in used:
        if key != "internvlrepo":  # its news are of July 2024, its list of parts is newer
            assert cited[key].year == int(date[-4:]), key
        assert cited[key].url == url


def test_an_hour_of_film_in_the_table_is_the_rule_of_the_bill():
    text = "".join(block.text for block in LESSON.blocks)
    rate = int(re.search(r"film at (\d+) tokens a second is ([\d,]+)", text)[1])
    assert round(HOUR * rate, -3) == int(re.search(r"tokens a second is ([\d,]+)", text)[1].replace(",", ""))


def test_qwen2_vl_bills_a_clip_as_its_processor_does():
    seconds = 3
    clip = torch.zeros(2 * seconds, 3, 360, 640, dtype=torch.uint8)
    processor = Qwen2VLVideoProcessor(cap_pixels_per_frame=True, do_sample_frames=False)
    grid = processor(videos=[clip], return_tensors="pt")["video_grid_thw"][0]
    (known,) = ask_simulation("ch09_frontier", states=[STATE | {"seconds": seconds}])["facts"]
    assert known["frames"] == len(clip)
    assert known["total"] == grid.prod().item() // 4
    assert known["pairs"] == grid[0]


@pytest.mark.parametrize("seconds", [5, 64, 200])
def test_smolvlm2_looks_at_as_many_frames_as_its_processor_takes(seconds):
    sampling = {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 512}}
    processor = SmolVLMVideoProcessor(video_sampling=sampling)
    metadata = VideoMetadata(total_num_frames=30 * seconds, fps=30, duration=seconds)
    assert len(processor.sample_frames(metadata)) == min(seconds, 64)
    assert re.search(r"function billSmol.*?min\(seconds, 64\)", SCRIPT, re.DOTALL)
