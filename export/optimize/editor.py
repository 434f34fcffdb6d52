"""Read and change a graph of constants by the names of its nodes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

Array = np.ndarray[Any, Any]


def attribute(node: NodeDef, key: str) -> AttrValue:
    """Return an attribute of a node, empty where it has none: looking it up in the map would add it."""
    return node.attr[key] if key in node.attr else AttrValue()


def node_of(tensor: str) -> str:
    """Return the name of the node that a tensor is an output of."""
    return tensor.partition(":")[0]


class Editor:
    """Hold a graph's nodes by name, each with the names of its inputs.

    Control inputs are dropped: a frozen graph has nothing to order.

    Args:
        graph: A frozen graph without functions or loops.
        outputs: Names of the nodes that must keep their name.
    """

    def __init__(self, graph: GraphDef, outputs: Sequence[str]) -> None:
        self._versions = graph.versions
        self._library = graph.library
        self.outputs = list(outputs)
        self.nodes: dict[str, NodeDef] = {}
        for original in graph.node:
            node = NodeDef()
            node.CopyFrom(original)
            inputs = [name.removesuffix(":0") for name in node.input if not name.startswith("^")]
            node.ClearField("input")
            node.input.extend(inputs)
            self.nodes[node.name] = node

    def consumers(self) -> dict[str, list[NodeDef]]:
        """Return the nodes that read each node, and the graph's outputs as readers of themselves."""
        readers: dict[str, list[NodeDef]] = defaultdict(list)
        for node in self.nodes.values():
            for name in node.input:
                readers[node_of(name)].append(node)
        for name in self.outputs:
            readers[name].append(self.nodes[name])
        return readers

    def dtypes(self) -> dict[str, tf.DType]:
        """Return the type of each tensor, by the name that its readers use."""
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(self.graph_def(), name="")
            return {
                tensor.name.removesuffix(":0"): tensor.dtype
                for operation in graph.get_operations()
                for tensor in operation.outputs
            }

    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Return the shape of each tensor, by the name that its readers use, as far as its rank is known."""
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(self.graph_def(), name="")
            return {
                tensor.name.removesuffix(":0"): tuple(tensor.shape)
                for operation in graph.get_operations()
                for tensor in operation.outputs
                if tensor.shape.rank is not None
            }

    def constant(self, name: str) -> Array | None:
        """Return the value of a constant node, or ``None``."""
        node = self.nodes.get(name)
        if node is None or node.op != "Const":
            return None
        value: Array = tf.make_ndarray(node.attr["value"].tensor)
        return value

    def add_constant(self, name: str, value: Array) -> str:
        """Add a constant, and return the name it got."""
        node = NodeDef(op="Const", name=self._free(name))
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
        return self._put(node)

    def add(
        self,
        op: str,
        name: str,
        inputs: Iterable[str],
        like: NodeDef | None = None,
        **attributes: Any,
    ) -> str:
        """Add a node, with the attributes of another and then those given, and return the name it got."""
        node = NodeDef(op=op, name=self._free(name))
        node.input.extend(inputs)
        if like is not None:
            for key, value in like.attr.items():
                node.attr[key].CopyFrom(value)
        for key, value in attributes.items():
            node.attr[key].CopyFrom(value)
        return self._put(node)

    def redirect(self, replacements: Mapping[str, str]) -> None:
        """Let every reader of each old node read the new one in its place."""
        for node in self.nodes.values():
            for index, read in enumerate(node.input):
                name = read
                while name in replacements:
                    name = replacements[name]
                node.input[index] = name

    def graph_def(self) -> GraphDef:
        """Return the nodes that the outputs need, each after its inputs."""
        graph = GraphDef(versions=self._versions, library=self._library)
        done: set[str] = set()
        stack = [(name, False) for name in reversed(self.outputs)]
        while stack:
            name, ready = stack.pop()
            if name in done:
                continue
            node = self.nodes[name]
            if ready:
                done.add(name)
                graph.node.append(node)
                continue
            stack.append((name, True))
            stack.extend((node_of(read), False) for read in reversed(node.input))
        return graph

    def _free(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self.nodes:
            candidate, number = f"{name}_{number}", number + 1
        return candidate

    def _put(self, node: NodeDef) -> str:
        self.nodes[node.name] = node
        return str(node.name)
