"""Peak memory of loading a full-size random checkpoint and giving one answer: `python -m bench.memory NAME …`.

Each figure is the growth of a process that has imported torch and transformers, sampled from outside while it loads
through `families/loading.py` and answers once; anonymous and file-backed pages apart. The models have the published
sizes and random weights: memory does not depend on what the weights say. Linux only, because it reads /proc.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import select
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from patchwork.plan import WIDTH, Constants, Memory, estimate_on_cpu

RECORD = Path(__file__).resolve().parent.parent / "docs" / "memory.json"
DOCUMENT = RECORD.with_suffix(".md")
MARKS = ("<!-- measured -->", "<!-- end -->")
PRECISIONS = ("bf16", "fp32", "int8", "nf4")
ENCODER_PRECISIONS = ("bf16", "fp32")
DTYPES = {"bf16": "bfloat16", "fp32": "float32"}
NEW_TOKENS = 4
TEXT = 32  # tokens of the question


def clip(layers: int, width: int, heads: int, patch: int, side: int, text_width: int, projection: int) -> dict:
    vision = dict(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        patch_size=patch,
        image_size=side,
        projection_dim=projection,
    )
    text = dict(
        hidden_size=text_width,
        intermediate_size=4 * text_width,
        num_attention_heads=text_width // 64,
        projection_dim=projection,
    )
    return dict(vision_config=vision, text_config=text, projection_dim=projection)


def decoder(kind: str, width: int, inner: int, layers: int, heads: int, key_heads: int, words: int, **more) -> dict:
    return dict(
        model_type=kind,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        vocab_size=words,
        **more,
    )


SIGLIP_512 = dict(
    hidden_size=768,
    intermediate_size=3072,
    num_hidden_layers=12,
    num_attention_heads=12,
    patch_size=16,
    image_size=512,
)
SO400M = dict(
    model_type="siglip_vision_model",
    hidden_size=1152,
    intermediate_size=4304,
    num_hidden_layers=26,
    num_attention_heads=16,
    patch_size=14,
    image_size=384,
    vision_use_head=False,
)
QWEN_HALF = decoder("qwen2", 896, 4864, 24, 14, 2, 152000, tie_word_embeddings=True)

MODELS: dict[str, tuple[str, str, dict, dict]] = {
    # name: (model class, configuration class, configuration, what is put in: pixels' side, places of the picture …)
    "dinov2-with-registers-small": (
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        dict(hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14),
        dict(side=224),
    ),
    "dinov2-base": ("Dinov2Model", "Dinov2Config", dict(image_size=518, patch_size=14), dict(side=224)),
    "clip-vit-base-patch32": ("CLIPModel", "CLIPConfig", clip(12, 768, 12, 32, 224, 512, 512), dict(side=224, words=8)),
    "clip-vit-large-patch14-336": (
        "CLIPModel",
        "CLIPConfig",
        clip(24, 1024, 16, 14, 336, 768, 768),
        dict(side=336, words=8),
    ),
    "siglip-base-patch16-224": ("SiglipModel", "SiglipConfig", {}, dict(side=224, words=8)),
    "smolvlm-256m-instruct": (
        "Idefics3ForConditionalGeneration",
        "Idefics3Config",
        dict(
            vision_config=SIGLIP_512,
            text_config=decoder("llama", 576, 1536, 30, 9, 3, 49280),
            scale_factor=4,
            image_token_id=49190,
        ),
        dict(side=512, places=64, views=True),
    ),
    "smolvlm-500m-instruct": (
        "Idefics3ForConditionalGeneration",
        "Idefics3Config",
        dict(
            vision_config=SIGLIP_512,
            text_config=decoder("llama", 960, 2560, 32, 15, 5, 49280),
            scale_factor=4,
            image_token_id=49190,
        ),
        dict(side=512, places=64, views=True),
    ),
    "llava-interleave-qwen-0.5b": (
        "LlavaForConditionalGeneration",
        "LlavaConfig",
        dict(
            vision_config=SO400M,
            text_config=QWEN_HALF,
            image_token_index=151646,
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
            tie_word_embeddings=True,
        ),
        dict(side=384, places=729),
    ),
    "internvl3-1b": (
        "InternVLForConditionalGeneration",
        "InternVLConfig",
        dict(
            text_config=decoder("qwen2", 896, 4864, 24, 14, 2, 151674),
            image_token_id=151667,
            tie_word_embeddings=False,
        ),
        dict(side=448, places=256),
    ),
    "kosmos-2-patch14-224": (
        "Kosmos2ForConditionalGeneration",
        "Kosmos2Config",
        {},
        dict(side=224, places=64, masked=True),
    ),
    "qwen2-vl-2b-instruct": (
        "Qwen2VLForConditionalGeneration",
        "Qwen2VLConfig",
        dict(
            text_config=decoder(
                "qwen2_vl_text",
                1536,
                8960,
                28,
                12,
                2,
                151936,
                tie_word_embeddings=True,
                rope_parameters=dict(rope_type="default", mrope_section=[16, 24, 24], rope_theta=1e6),
            ),
            vision_config=dict(hidden_size=1536),
            image_token_id=151655,
            tie_word_embeddings=True,
        ),
        dict(grid=(1, 36, 36)),
    ),
}


def build(name: str, folder: Path, stored: str) -> tuple[int, int]:
    """Random weights, saved as `from_pretrained` reads them; returns (parameters, those that are never quantized)."""
    import torch
    import transformers

    from patchwork.quantize import count_unquantized

    kind, config_kind, settings, _ = MODELS[name]
    with torch.device("meta"):
        model = getattr(transformers, kind)(getattr(transformers, config_kind)(**settings))
    model = model.to(getattr(torch, DTYPES[stored])).to_empty(device="cpu")
    model.tie_weights()
    noise = 0.02 * torch.randn(1 << 20)
    for weight in model.parameters():  # one piece of noise again and again: drawing two billion numbers takes minutes
        weight.data.copy_(noise.repeat(-(-weight.numel() // noise.numel()))[: weight.numel()].view_as(weight))
    model.save_pretrained(folder)
    return sum(weight.numel() for weight in model.parameters()), count_unquantized(model)


def make_inputs(name: str, model) -> dict:
    """One picture and one question, as the checkpoint's processor would hand them over."""
    import torch

    _, _, _, put = MODELS[name]
    like = next(weight for weight in model.parameters() if weight.is_floating_point())
    if "grid" in put:
        return make_grid_inputs(put["grid"], model, like.dtype)
    pixels = torch.randn(1, 3, put["side"], put["side"], dtype=like.dtype)
    inputs = {"pixel_values": pixels[None] if put.get("views") else pixels}
    if "words" in put:
        inputs["input_ids"] = torch.randint(3, 1000, (put["words"], 64))
    if "places" in put:
        marks = torch.full((1, put["places"]), getattr(model.config, "image_token_id", None) or 5)
        inputs["input_ids"] = torch.cat([marks, torch.randint(10, 1000, (1, TEXT))], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if put.get("masked"):
        places = torch.zeros(1, put["places"] + TEXT, dtype=torch.long)
        places[:, : put["places"]] = 1
        inputs["image_embeds_position_mask"] = places
    return inputs


def make_grid_inputs(grid: tuple[int, int, int], model, dtype) -> dict:
    """Qwen2-VL: patches in rows of 3 × 2 × 14 × 14 values, a quarter as many places in the sequence."""
    import torch

    patches = grid[0] * grid[1] * grid[2]
    marks = torch.full((1, patches // 4), model.config.image_token_id)
    words = torch.randint(10, 1000, (1, TEXT))
    ids = torch.cat([words[:, :4], marks, words[:, 4:]], dim=1)
    return {
        "pixel_values": torch.randn(patches, 1176, dtype=dtype),
        "image_grid_thw": torch.tensor([grid]),
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == model.config.image_token_id).long(),
    }


def answer(name: str, folder: Path, precision: str) -> None:
    """In a process of its own: say when the libraries are there, load, answer, say how long each took."""
    import torch
    import transformers

    from patchwork.catalog import Card
    from patchwork.families.loading import load_weights
    from patchwork.plan import Plan

    card = Card(
        id=name, title=name, family="clip", repo=str(folder), licence="none", parameters=1, capabilities=frozenset()
    )
    facts = dict(memory_bytes=0, download_bytes=0, cached=True, seconds=0, fits=True)
    plan = Plan(card_id=name, title=name, device="cpu", precision=precision, **facts)
    kind = getattr(transformers, MODELS[name][0])
    torch.randn(256, 256) @ torch.randn(256, 256)
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    model = load_weights(kind, card, plan)
    loaded = time.perf_counter()
    with torch.inference_mode():
        inputs = make_inputs(name, model)
        if {"places", "grid"} & set(MODELS[name][3]):
            model.generate(**inputs, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False)
        else:
            model(**inputs)
    print(json.dumps({"load": loaded - start, "answer": time.perf_counter() - loaded}), flush=True)
    sys.stdin.readline()  # the end of a process touches much of the libraries, and is not measured


def read_pages(pid: int) -> tuple[int, int]:
    """(anonymous, file-backed) bytes of a process's memory now."""
    found = {"RssAnon": 0, "RssFile": 0}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in found:
            found[key] = 1024 * int(value.split()[0])
    return found["RssAnon"], found["RssFile"]


def watch(name: str, folder: Path, precision: str) -> dict:
    """Run `answer` and sample it every 5 ms; the figures of the moment with the largest sum."""
    command = [
        sys.executable,
        "-m",
        "bench.memory",
        "--answer",
        name,
        "--folder",
        str(folder),
        "--precision",
        precision,
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while process.stdout.readline() != "ready\n":
        if process.poll() is not None:
            raise SystemExit(f"{name} in {precision} failed")
    before = read_pages(process.pid)
    process.stdin.write("\n")
    process.stdin.flush()
    peak = before
    while not select.select([process.stdout], [], [], 0.005)[0]:
        peak = max(peak, read_pages(process.pid), key=sum)
    line = process.stdout.readline()
    process.kill()
    process.wait()
    if not line.startswith("{"):
        raise SystemExit(f"{name} in {precision} failed: {line}")
    seconds = json.loads(line)
    return {
        "anonymous_bytes": peak[0] - before[0],
        "file_bytes": peak[1] - before[1],
        "process_bytes": sum(before),
        "load_seconds": round(seconds["load"], 1),
        "answer_seconds": round(seconds["answer"], 1),
    }


def measure(name: str, precisions: list[str], stored: str) -> list[dict]:
    """Build once, measure in each precision, delete."""
    folder = Path(tempfile.mkdtemp(prefix="patchwork-memory-"))
    os.environ["PATCHWORK_QUANTIZED"] = str(folder / "quantized")
    try:
        command = [sys.executable, "-m", "bench.memory", "--build", name, "--folder", str(folder), "--stored", stored]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        parameters, unquantized = map(int, done.stdout.split()[-2:])
        rows = []
        for precision in precisions:
            if precision in ("int8", "nf4"):  # once to make the copy, once from the copy
                rows.append({"precision": precision, "copy": False} | watch(name, folder, precision))
            rows.append({"precision": precision, "copy": True} | watch(name, folder, precision))
            print(name, rows[-1], flush=True)
        facts = {"name": name, "parameters": parameters, "unquantized": unquantized, "stored": stored}
        return [facts | row for row in rows]
    finally:
        shutil.rmtree(folder)


def record(rows: list[dict], path: Path) -> None:
    """What was measured before is replaced."""
    known = {tell_apart(row): row for row in (json.loads(path.read_text())["rows"] if path.exists() else [])}
    known |= {tell_apart(row): row for row in rows}
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "bitsandbytes")}
    found = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": versions,
        "rows": [known[key] for key in sorted(known)],
    }
    path.write_text(json.dumps(found, indent=1) + "\n")


def fit(rows: list[dict]) -> Constants:
    """The constants of `patchwork/plan.py` that make its predictions of these rows' totals nearest, in per cent."""
    plain = [row for row in rows if row["precision"] in WIDTH]
    weights = np.array([1 / total(row) for row in plain])
    size = np.array([float(row["parameters"]) for row in plain])
    converted = np.array([WIDTH[r["precision"]] * r["parameters"] * (r["precision"] != r["stored"]) for r in plain])
    anonymous = np.array([row["anonymous_bytes"] for row in plain]) - converted
    start, work = solve(np.stack([np.ones_like(size), size], 1), anonymous, weights)
    mapped = [row for row in plain if row["precision"] == row["stored"]]
    file = np.array([row["file_bytes"] for row in mapped])
    stored = np.array([float(WIDTH[row["stored"]] * row["parameters"]) for row in mapped])
    ones = np.ones_like(stored)
    libraries, touched = solve(np.stack([ones, stored], 1), file, np.array([1 / total(row) for row in mapped]))
    copied, unpacked = {}, {}
    for precision in ("int8", "nf4"):
        part = [row for row in rows if row["precision"] == precision]
        if not part:
            continue
        quantized = np.array([[float(row["parameters"] - row["unquantized"])] for row in part])
        beside = np.array([libraries + 2 * touched * row["unquantized"] for row in part])
        weight = np.array([1 / total(row) for row in part])
        copied[precision] = solve(quantized, np.array([r["file_bytes"] for r in part]) - beside, weight)[0]
        unpacked[precision] = solve(quantized, np.array([r["anonymous_bytes"] for r in part]) - start, weight)[0]
    return Constants(start, work, libraries, touched, copied, unpacked)


def solve(columns: np.ndarray, wanted: np.ndarray, weights: np.ndarray) -> list[float]:
    """Weighted least squares, no coefficient below zero."""
    found = np.linalg.lstsq(columns * weights[:, None], wanted * weights, rcond=None)[0]
    return [max(0.0, float(value)) for value in found]


def total(row: dict) -> int:
    return row["anonymous_bytes"] + row["file_bytes"]


def leave_one_out(rows: list[dict]) -> list[tuple[dict, Memory]]:
    """Each row with the prediction of constants that were fitted without its model; where no other model was measured
    in that precision, nothing can be said."""
    rows = [row for row in rows if row["copy"]]
    found = []
    for row in rows:
        others = [other for other in rows if other["name"] != row["name"]]
        if row["precision"] not in {other["precision"] for other in others}:
            continue
        constants = fit(others)
        facts = (row["parameters"], row["unquantized"], row["stored"], row["precision"])
        found.append((row, estimate_on_cpu(*facts, constants)))
    return found


def write_table(found: dict) -> str:
    """docs/memory.md between its marks: every row, and what would have been predicted without its model."""
    lines = [
        f"Measured on {found['date']}, {found['machine']}, "
        + ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        + ".",
        "",
        "| model | parameters | stored | runs in | anonymous MB | in files MB | predicted MB | error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, memory in leave_one_out(found["rows"]):
        lines.append(
            f"| {row['name']} | {row['parameters'] / 1e6:,.0f} M | {row['stored']} | {row['precision']} | "
            f"{row['anonymous_bytes'] / 1e6:,.0f} | {row['file_bytes'] / 1e6:,.0f} | "
            f"{memory.anonymous / 1e6:,.0f} + {memory.file / 1e6:,.0f} | {memory.total / total(row) - 1:+.0%} |"
        )
    predicted = {tell_apart(row) for row, _ in leave_one_out(found["rows"])}
    alone = [row for row in found["rows"] if row["copy"] and tell_apart(row) not in predicted]
    lines += [
        f"| {row['name']} | {row['parameters'] / 1e6:,.0f} M | copy | {row['precision']} | "
        f"{row['anonymous_bytes'] / 1e6:,.0f} | {row['file_bytes'] / 1e6:,.0f} | no other model to predict it from | |"
        for row in alone
    ]
    making = [row for row in found["rows"] if not row["copy"]]
    lines += ["", "Making the quantized copy, once (load, quantize, save, load again, answer):", ""]
    lines += ["| model | into | anonymous MB | in files MB |", "|---|---|---|---|"]
    lines += [
        f"| {r['name']} | {r['precision']} | {r['anonymous_bytes'] / 1e6:,.0f} | {r['file_bytes'] / 1e6:,.0f} |"
        for r in making
    ]
    return "\n".join(lines) + "\n"


def update_document(found: dict, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    start, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    path.write_text(text[:start] + "\n" + write_table(found) + text[end:], encoding="utf-8")


def tell_apart(row: dict) -> tuple:
    return row["parameters"], row["name"], row["stored"], PRECISIONS.index(row["precision"]), row["copy"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--only", nargs="*", help="precisions")
    parser.add_argument("--build", help=argparse.SUPPRESS)
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    parser.add_argument("--stored", choices=["bf16", "fp32"], help="how the weights lie on the disk")
    options = parser.parse_args()
    if options.build:
        return print(*build(options.build, options.folder, options.stored))
    if options.answer:
        return answer(options.answer, options.folder, options.precision)
    for name in options.names or MODELS:
        encoder = "words" in MODELS[name][3] or set(MODELS[name][3]) == {"side"}
        precisions = options.only or (ENCODER_PRECISIONS if encoder else PRECISIONS)
        for stored in [options.stored] if options.stored else ["bf16", "fp32"] if encoder else ["bf16"]:
            record(measure(name, list(precisions), stored), options.out)
    if options.out == RECORD:
        update_document(json.loads(RECORD.read_text()), DOCUMENT)


if __name__ == "__main__":
    main()
