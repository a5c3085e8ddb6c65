"""What a table of layers' latencies says of whole encoders."""

from collections.abc import Sequence

from compress.sizing.layer_latency import LayerLatency


def predicted_ms(table: LayerLatency, heads: Sequence[int], neurons: Sequence[int]) -> float:
    """What an encoder with these sizes in its layers takes."""
    own = sum(table.heads_ms[count] for count in heads) + sum(table.neurons_ms[count] for count in neurons)
    return table.smallest_ms(len(heads)) + own
