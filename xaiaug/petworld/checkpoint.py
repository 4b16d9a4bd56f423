"""Where the pre-trained ViT of the drawn world lies."""

from pathlib import Path


def checkpoint() -> Path:
    """Folder of a small ViT (64 px, patch 8) that knows six drawn animals, none of them a cat or a dog.

    `AutoModelForImageClassification.from_pretrained` and `AutoImageProcessor.from_pretrained` read it;
    `benchmarks/pretrain_petworld.py` made it.
    """
    return Path(__file__).parent / "vit"
