"""The same product in other shapes: one process, or three that speak TLS to each other."""
from cases import case
from services import Services


def runs_both_examples(world, namespace, **layout):
    """Both examples from creation to deletion under other services than the usual three."""
    cluster = world.cluster
    world.namespace(namespace)
    for process in world.services:
        process.stop()
    try:
        with Services(cluster, **layout) as services:
            services.wait_ready(30)
            services.wait_admission()
            world.create(namespace)
            world.create(namespace, "inference-phi-4-mini", name="serve")
            for name in ("ws", "serve"):
                cluster.wait_condition(namespace, name)
            for name in ("ws", "serve"):
                cluster.delete("workspace", namespace, name)
            for name in ("ws", "serve"):
                cluster.wait_gone(namespace, name)
            assert all(process.starts == 1 for process in services), "a process died"
    finally:
        for process in world.services:
            process.start()
        world.services.wait_ready()


@case
def all_in_one(world):
    """`ckaito`, the three as threads of one process."""
    runs_both_examples(world, "in-one", all_in_one=True)


@case
def messages_over_tls(world):
    """Three processes over tls+tcp, with the certificates that the reconciler made for them."""
    runs_both_examples(world, "over-tls", urls="tls+tcp")
