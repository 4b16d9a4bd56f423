"""A Ray cluster of two nodes on this machine."""

import signal
from contextlib import contextmanager

import pytest

# No token in the home folder, no reports to Ray's makers, and workers that are not starved on a busy machine.
RAY = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}


@contextmanager
def start_cluster():
    """The cluster, one of whose nodes is taken to have a GPU; this process is connected to it."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in RAY.items():
            patch.setenv(name, value)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        nodes.add_node(num_cpus=1, num_gpus=1)
        ray.init(address=nodes.address, log_to_driver=False)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        yield nodes
        ray.shutdown()
        nodes.shutdown()
