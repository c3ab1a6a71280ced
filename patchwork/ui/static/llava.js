/* LLaVA by its configuration: tokens, shapes and parameters of each part. Pure; simulations of several chapters use it. The bundled model's configuration is the shipped file itself. */

(() => {
  /* Published configurations (llava-hf/llava-1.5-7b-hf and -13b-hf), only what the counts need. */
  const VISION = {hidden_size: 1024, intermediate_size: 4096, num_hidden_layers: 24, num_attention_heads: 16, image_size: 336, patch_size: 14};
  const VICUNA = {vocab_size: 32064, tie_word_embeddings: false};
  const PUBLISHED = {
    "7b": {vision_feature_layer: -2, vision_config: VISION, text_config: {...VICUNA, hidden_size: 4096, intermediate_size: 11008, num_hidden_layers: 32, num_attention_heads: 32}},
    "13b": {vision_feature_layer: -2, vision_config: VISION, text_config: {...VICUNA, hidden_size: 5120, intermediate_size: 13824, num_hidden_layers: 40, num_attention_heads: 40}},
  };
  const NAMES = {"7b": "LLaVA-1.5 7B", "13b": "LLaVA-1.5 13B", tiny: "the bundled tiny model"};

  /* A transformers configuration file → the sizes by the course's own names. */
  const readConfig = (config) => {
    const [vision, text] = [config.vision_config, config.text_config];
    const grid = Math.floor(vision.image_size / vision.patch_size);
    return {
      side: vision.image_size,
      patch: vision.patch_size,
      grid,
      patches: grid * grid,
      towerWidth: vision.hidden_size,
      towerInner: vision.intermediate_size,
      towerLayers: vision.num_hidden_layers,
      towerLayer: vision.num_hidden_layers + 1 + config.vision_feature_layer,
      width: text.hidden_size,
      inner: text.intermediate_size,
      layers: text.num_hidden_layers,
      heads: text.num_attention_heads,
      keyHeads: text.num_key_value_heads ?? text.num_attention_heads,
      headWidth: text.head_dim ?? text.hidden_size / text.num_attention_heads,
      vocabulary: text.vocab_size,
      tied: text.tie_word_embeddings ?? config.tie_word_embeddings ?? false,
    };
  };

  const getModel = (id) => readConfig(PUBLISHED[id] || globalThis.PATCHWORK.llava);

  /* Inputs and outputs of the matrices of one decoder layer: query, key, value, output; gate, up, down. */
  const listMatrices = (m) => {
    const [queries, keys] = [m.heads * m.headWidth, m.keyHeads * m.headWidth];
    return [[m.width, queries], [m.width, keys], [m.width, keys], [queries, m.width], [m.width, m.inner], [m.width, m.inner], [m.inner, m.width]];
  };

  /* Parameters of each part. The tower: CLIP's ViT with biases; the decoder: Llama without, its layers and last norm. */
  const countParts = (m) => {
    const d = m.towerWidth;
    const embedding = 3 * m.patch * m.patch * d + d + (m.patches + 1) * d;
    const towerLayer = 4 * (d * d + d) + (d * m.towerInner + m.towerInner) + (m.towerInner * d + d) + 4 * d;
    const matrices = listMatrices(m).reduce((sum, [from, to]) => sum + from * to, 0);
    return {
      tower: embedding + 2 * d + m.towerLayers * towerLayer + 2 * d,
      projector: (d * m.width + m.width) + (m.width * m.width + m.width),
      embed: m.vocabulary * m.width,
      decoder: m.layers * (matrices + 2 * m.width) + m.width,
      head: m.tied ? 0 : m.vocabulary * m.width,
    };
  };

  /* Parameters of adapters of this rank on every matrix of the decoder: two thin matrices each. */
  const countAdapters = (m, rank) => m.layers * listMatrices(m).reduce((sum, [from, to]) => sum + rank * (from + to), 0);

  const llava = {NAMES, readConfig, getModel, listMatrices, countParts, countAdapters};
  globalThis.Patchwork = Object.assign(globalThis.Patchwork || {}, {llava});
  if (typeof module !== "undefined") module.exports = globalThis.Patchwork;
})();
