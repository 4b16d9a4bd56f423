"""A Qwen3-VL of some thousand parameters, made and saved by the tests as the model hub holds it."""

from __future__ import annotations

import json
from pathlib import Path

SPECIAL = "<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|image_pad|> <|video_pad|>"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_tiny_qwen(folder: Path) -> Path:
    """Saves a Qwen3-VL with random weights, a tokenizer of single bytes, and the settings of its processors."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import Qwen2Tokenizer, Qwen2VLImageProcessorPil, Qwen3VLConfig, Qwen3VLForConditionalGeneration

    special = SPECIAL.split()
    vocabulary = {word: index for index, word in enumerate([*sorted(pre_tokenizers.ByteLevel.alphabet()), *special])}
    ids = {word: vocabulary[word] for word in special}
    names = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>"}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], additional_special_tokens=special, **names)
    tokenizer.chat_template = TEMPLATE
    size = {"hidden_size": 32, "intermediate_size": 32}
    config = Qwen3VLConfig(
        text_config={
            **size,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "vocab_size": len(vocabulary),
            "rope_scaling": {"mrope_section": [4, 2, 2], "rope_type": "default"},
            "pad_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "initializer_range": 0.3,
        },
        vision_config={
            **size,
            "depth": 2,
            "num_heads": 2,
            "out_hidden_size": 32,
            "deepstack_visual_indexes": [0],
            "num_position_embeddings": 64,
            "initializer_range": 0.3,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Qwen3VLForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Qwen2VLImageProcessorPil(patch_size=16, merge_size=2, temporal_patch_size=2).save_pretrained(folder)
    file = folder / "preprocessor_config.json"
    settings = json.loads(file.read_text("utf-8")) | {"processor_class": "Qwen3VLProcessor"}
    file.write_text(json.dumps({**settings, "image_processor_type": "Qwen2VLImageProcessorFast"}), "utf-8")
    videos = {**settings, "video_processor_type": "Qwen3VLVideoProcessor"}
    del videos["image_processor_type"]
    (folder / "video_preprocessor_config.json").write_text(json.dumps(videos), "utf-8")
    return folder
