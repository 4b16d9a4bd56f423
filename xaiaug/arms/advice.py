"""What an arm is as a remedy: an order to the reader, and whether it is a remedy at all."""

from __future__ import annotations

from ..records import Arm, ImageSource

# By name of the row; an arm of the user's own is advised by its name.
ADVICE = {
    "baseline": "Leave the classifier as it is",
    "continued": "Train it longer on the same images",
    "generated-only": "Train it on the new images alone",
    "generated+training": "Add the new images to the training data",
    "generated+training-lora": "Train adapters, with the new images added",
    "class-name-prompts": "Add new images that are made from class names alone",
    "oversampled-failures": "Repeat its mistakes on guide in training",
    "guide-added": "Add the guide images to the training data",
    "more-real": "Add the reserve images to the training data",
    "retrieved-real": "Add the reserve images nearest to its mistakes",
    "image-guided-no-critic": "Add variations of its mistakes, made without a critic",
    "classical": "Augment with TrivialAugment and CutMix",
    "classical+generated": "Augment with TrivialAugment and CutMix, with the new images added",
    "rebalanced": "Sample the classes equally often",
    "group-balanced": "Sample the groups equally often",
    "group-dro": "Train by GroupDRO",
    "rrr": "Penalise input gradients off the subject",
    "class-balanced-head": "Refit the last layer on the guide images",
    "dfr": "Refit the last layer on group-balanced guide images (DFR)",
    "self": "Train the last layer on guide images where its early weights disagree (SELF)",
    "slice-budget": "Add new images, the same number for each slice",
    "saliency-edit": "Add training images whose hot regions off the subject were edited",
    "saliency-edit+failures": "Add edits by the heatmap, and repeat its mistakes",
    "oversampled-train-failures": "Repeat the training images that it gets wrong (as in JTT)",
    "masktune": "Train it on masked training images (MaskTune)",
}


def advise(arm: Arm) -> str:
    """What to do to get what the arm got, without a full stop."""
    return ADVICE.get(arm.name, f"Train as the arm {arm.name}")


def is_control(arm: Arm) -> bool:
    """Whether an arm only isolates something, as one with shuffled maps does; it is never recommended."""
    source = arm.images
    if source is None:
        return False
    usual = ImageSource()
    as_usual = (source.map, source.curated) == (usual.map, usual.curated)
    return not as_usual or source.guidance == "random" or source.cases == "correct"
