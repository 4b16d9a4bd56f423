"""Occlusion maps for xaiaug. The hook names the class as text, so that listing plugins imports nothing else."""

import xaiaug


@xaiaug.hookimpl
def register_explainers(register):
    register("occlusion", "xaiaug_occlusion.explainer:OcclusionExplainer")
