"""CLIP and SigLIP with tiny random weights and a vocabulary of ten words, saved as folders."""

VOCABULARY = ["<pad>", "<unk>", "<s>", "</s>", "a", "photo", "of", "cat", "dog", "bird"]
SIZE = 32


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="<unk>"))  # noqa: S106
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", VOCABULARY.index("<s>")), ("</s>", VOCABULARY.index("</s>"))]
    )
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=16, **special)


def make(family: str, folder):
    import torch
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        CLIPProcessor,
        SiglipConfig,
        SiglipImageProcessorPil,
        SiglipModel,
        SiglipProcessor,
    )

    narrow = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**narrow, "vocab_size": len(VOCABULARY), "max_position_embeddings": 16, "pad_token_id": 0}
    text |= {"bos_token_id": 2, "eos_token_id": 3}
    vision = {**narrow, "image_size": SIZE, "patch_size": 8}
    size = {"height": SIZE, "width": SIZE}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if family == "clip":
            model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12))
            images = CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=size)
            processor = CLIPProcessor(images, tokenizer())
        else:
            model = SiglipModel(SiglipConfig(text_config={**text, "projection_size": 16}, vision_config=vision))
            processor = SiglipProcessor(SiglipImageProcessorPil(size=size), tokenizer())
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model.eval(), processor
