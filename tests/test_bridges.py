"""Real bridges are counted, never remembered: figures worked out by hand from the published layer sizes."""

from patchwork.bridges import count_bridges


def linear(wide: int, narrow: int) -> int:
    return wide * narrow + narrow


def test_parameters_equal_those_of_the_layers():
    counted = {one.model: one.parameters for one in count_bridges()}
    assert counted["LLaVA-1.5-7B"] == linear(1024, 4096) + linear(4096, 4096) == 20_979_712
    assert counted["InternVL3-1B"] == 2 * 4096 + linear(4096, 896) + linear(896, 896)
    assert counted["Qwen2-VL-2B"] == 2 * 1280 + linear(5120, 5120) + linear(5120, 1536)
    assert counted["SmolVLM-256M"] == 16 * 768 * 576
    block = 3 * 2 * 1280 + 2 * 2 * 96 + 4 * 1280 * 16 * 96 + 2 * 1280 * 4 * 1280  # norms, heads' norms, four, MLP
    assert counted["IDEFICS-9B"] == 64 * 1280 + 6 * block + 2 * 1280


def test_shapes_come_from_running_them():
    shapes = {one.model: (one.taken, one.given) for one in count_bridges()}
    assert shapes["LLaVA-1.5-7B"] == ((576, 1024), (576, 4096))
    assert shapes["Qwen2-VL-2B"] == ((1024, 1280), (256, 1536))
    assert shapes["SmolVLM-256M"] == ((1024, 768), (64, 576))
    assert shapes["IDEFICS-9B"][1] == (64, 1280)
