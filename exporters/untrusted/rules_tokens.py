"""Output shapes of operators of networks over tokens: attention, states that are carried on, gates."""

from __future__ import annotations

from collections.abc import Callable

from exporters.untrusted.node_view import NodeView, Shape, broadcast


def _is_given(node: NodeView, index: int) -> bool:
    return index < len(node.shapes) and node.shapes[index] is not None


def _heads(node: NodeView, index: int, heads: str) -> Shape:
    """An input as (batch, heads, length, size), of which three dimensions have the heads side by side."""
    shape = node.shape(index)
    if len(shape) == 4:
        return shape
    count = node.number(heads, 0)
    if len(shape) != 3 or count < 1 or shape[2] % count:
        raise node.refuse(f"{shape} is not of {count} heads")
    return shape[0], count, shape[1], shape[2] // count


def _attention(node: NodeView) -> list[Shape]:
    """Queries, keys and values, and the keys and values of before, if there are any."""
    query, key, value = (_heads(node, i, "q_num_heads" if not i else "kv_num_heads") for i in range(3))
    if not query[0] == key[0] == value[0] or key[1:3] != value[1:3] or query[3] != key[3]:
        raise node.refuse(f"query {query}, key {key} and value {value} do not fit")
    if not key[1] or query[1] % key[1]:
        raise node.refuse("its heads are no whole number a head of the keys")
    past = 0
    if _is_given(node, 4) or _is_given(node, 5):
        past_key, past_value = node.shape(4, 4), node.shape(5, 4)
        past = past_key[2]
        if past_key != (*key[:2], past, key[3]) or past_value != (*value[:2], past, value[3]):
            raise node.refuse(f"what is before, {past_key} and {past_value}, does not fit")
    if _is_given(node, 6) and node.shape(6) != query[:1]:
        raise node.refuse("its lengths are not one a sample")
    scores = (*query[:3], past + key[2])
    if _is_given(node, 3) and broadcast(node, scores, node.shape(3)) != scores:
        raise node.refuse("its mask is larger than the scores")
    whole = (*query[:3], value[3])
    packed = len(node.shape(0)) == 3
    out = (query[0], query[2], query[1] * value[3]) if packed else whole
    kept = [(*one[:2], past + one[2], one[3]) for one in (key, value)]
    return [out, *kept, scores]


def attention_scores(node: NodeView) -> Shape:
    """What a runtime holds between its two products."""
    return _attention(node)[3]


def _rotary(node: NodeView) -> Shape:
    source = node.shape(0)
    if len(source) not in (3, 4) or node.shape(1) != node.shape(2):
        raise node.refuse("it is not of three or four dimensions, or its two tables differ")
    heads = node.number("num_heads", 0)
    if len(source) == 3 and (heads < 1 or source[2] % heads):
        raise node.refuse(f"{source} is not of {heads} heads")
    batch, length = source[0], source[1] if len(source) == 3 else source[2]
    size = source[2] // heads if len(source) == 3 else source[3]
    turned = node.number("rotary_embedding_dim", 0) or size
    if turned > size or turned % 2 or node.shape(1)[-1:] != (turned // 2,):
        raise node.refuse("its tables are not half as wide as what is turned")
    if _is_given(node, 3):
        if node.shape(3) != (batch, length) or len(node.shape(1)) != 2:
            raise node.refuse("its positions are not one a token")
    elif node.shape(1)[:-1] != (batch, length):
        raise node.refuse("its tables are not one row a token")
    return source


def _linear_attention(node: NodeView) -> list[Shape]:
    query, key, value = _heads(node, 0, "q_num_heads"), _heads(node, 1, "kv_num_heads"), _heads(node, 2, "kv_num_heads")
    if len(node.shape(0)) != 3 or query[0] != key[0] or key[:3] != value[:3] or query[2:] != key[2:]:
        raise node.refuse(f"query {query}, key {key} and value {value} do not fit")
    if query[1] % key[1]:
        raise node.refuse("its heads are no whole number a head of the keys")
    batch, heads, length = key[:3]
    state = (batch, heads, key[3], value[3])
    fits: dict[int, tuple[Shape, ...]] = {
        3: (state,),
        4: ((batch, length, heads * key[3]), (batch, length, heads)),
        5: ((batch, length, heads), (batch, length, 1)),
    }
    for place, shapes in fits.items():
        if _is_given(node, place) and node.shape(place) not in shapes:
            raise node.refuse(f"input {place} has not the shape {shapes[0]}")
    return [(batch, length, query[1] * value[3]), state]


def _causal_conv(node: NodeView) -> list[Shape]:
    source, weight = node.shape(0, 3), node.shape(1, 3)
    if weight[:2] != (source[1], 1) or weight[2] < 1:
        raise node.refuse(f"weight {weight} is not one window a channel of {source}")
    state = (*source[:2], weight[2] - 1)
    if _is_given(node, 2) and node.shape(2) != source[1:2]:
        raise node.refuse("the bias has not one entry a channel")
    if _is_given(node, 3) and node.shape(3) != state:
        raise node.refuse(f"its state has not the shape {state}")
    return [source, state]


def _tensor_scatter(node: NodeView) -> Shape:
    cache, update = node.shape(0), node.shape(1)
    axis = node.axis(node.number("axis", -2), len(cache))
    rest = [index for index in range(len(cache)) if index != axis]
    if axis == 0 or len(update) != len(cache) or any(cache[index] != update[index] for index in rest):
        raise node.refuse(f"{update} does not fit into {cache}")
    if update[axis] > cache[axis] or (_is_given(node, 2) and node.shape(2) != cache[:1]):
        raise node.refuse(f"{update} is longer than {cache}, or its places are not one a sample")
    return cache


def _gate(node: NodeView) -> Shape:
    if node.shape(0) != node.shape(1):
        raise node.refuse(f"{node.shape(0)} and {node.shape(1)} differ")
    return node.shape(0)


TOKENS: dict[str, Callable[[NodeView], Shape | list[Shape]]] = {
    "Attention": _attention,
    "CausalConvWithState": _causal_conv,
    "LinearAttention": _linear_attention,
    "RotaryEmbedding": _rotary,
    "SwiGLU": _gate,
    "TensorScatter": _tensor_scatter,
}
