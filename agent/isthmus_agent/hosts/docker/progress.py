"""How far a pull is, in words for people."""

from dataclasses import dataclass, field

from isthmus_agent.hosts.docker.replies import PullStep

_MEGABYTE = 1_000_000
_LAYER_BEGINS = "Pulling fs layer"
_LAYER_IS_THERE = "Already exists"
_LAYER_IS_DONE = frozenset({"Pull complete", _LAYER_IS_THERE})
_LAYER_IS_LOADED = frozenset({"Download complete", "Verifying Checksum", "Extracting", "Pull complete"})
_LOADING = "Downloading"


@dataclass
class _Layer:
    is_done: bool = False
    loaded: int = 0
    size: int = 0


@dataclass
class PullProgress:
    """Adds up what the engine tells of each layer."""

    _layers: dict[str, _Layer] = field(default_factory=dict)

    def add(self, step: PullStep) -> None:
        """Take in one line."""
        if step.status in {_LAYER_BEGINS, _LAYER_IS_THERE}:
            self._layers[step.layer] = _Layer()
        layer = self._layers.get(step.layer)
        if layer is None:
            return
        layer.is_done = step.status in _LAYER_IS_DONE
        if step.status == _LOADING:
            layer.loaded, layer.size = step.progress.current, max(layer.size, step.progress.total)
        elif step.status in _LAYER_IS_LOADED:
            layer.loaded = layer.size

    def __str__(self) -> str:
        if not self._layers:
            return ""
        layers = self._layers.values()
        text = f"layers {sum(layer.is_done for layer in layers)} of {len(layers)}"
        size = sum(layer.size for layer in layers)
        if not size:
            return text
        return f"{text}, {sum(layer.loaded for layer in layers) / _MEGABYTE:.0f} of {size / _MEGABYTE:.0f} MB"
