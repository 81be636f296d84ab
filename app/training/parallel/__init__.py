"""A recipe's plain model distributed over a device mesh. ``worker.loop`` and ``dryrun`` call it.

``distributed_model`` is what the loop holds; ``mesh`` the ranks by dimension; ``parallelize`` applies tensor,
context, expert and data parallelism from the outside; ``pipeline`` and ``stages`` cut by layers; ``context_parallel``
and ``expert_parallel`` exchange positions and tokens; ``balance`` counts loads of experts; ``clipping`` clips by the
global norm; ``initialization`` fills shards with values that no layout changes; ``tensors`` groups tensors by mesh.
"""
