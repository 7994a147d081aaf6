import os
import pickle
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from chita_edge.models.weights import WeightsError, load_weights


def _network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4))


class _RunsCode:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_reads_what_was_saved(tmp_path: Path, suffix: str) -> None:
    source, target = _network(), _network()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(source.state_dict(), path)
    else:
        safetensors.torch.save_file(source.state_dict(), path)
    load_weights(target, path)
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_runs_code_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pt"
    torch.save({"0.weight": _RunsCode()}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match="holds more than tensors"):
        load_weights(_network(), path)
    assert not (tmp_path / "executed").exists()


def test_a_plain_pickle_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps(_RunsCode()))
    with pytest.raises(WeightsError):
        load_weights(_network(), path)
    assert not (tmp_path / "executed").exists()


def test_an_archive_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights/data.pkl", bytes(64 << 20))
    with pytest.raises(WeightsError, match="would unpack to"):
        load_weights(_network(), path)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("keep", [0, 1, 9, 100, 500])
def test_a_truncated_file_is_a_sentence(tmp_path: Path, suffix: str, keep: int) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(_network().state_dict(), path)
    else:
        safetensors.torch.save_file(_network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=str(path)):
        load_weights(_network(), path)


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read: No such file"):
        load_weights(_network(), tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s.pop("0.bias"), "1 of its 7 entries are missing .*'0.bias'"),
        (lambda s: s.update(other=torch.zeros(1)), "1 are not the network's .*'other'"),
        (lambda s: s.update({"0.bias": torch.zeros(5)}), r"0.bias has shape \(5,\), the network's is \(4,\)"),
        (lambda s: s.update({"0.bias": torch.zeros(4, dtype=torch.int64)}), "stores 0.bias as torch.int64"),
        (lambda s: s["0.weight"].fill_(float("nan")), "NaN or infinite values in 0.weight"),
        (lambda s: s["1.running_var"].fill_(float("inf")), "NaN or infinite values in 1.running_var"),
    ],
)
def test_weights_that_do_not_fit_leave_the_network_as_it_was(tmp_path: Path, change: object, sentence: str) -> None:
    state = {name: tensor.clone() for name, tensor in _network().state_dict().items()}
    change(state)  # type: ignore[operator]
    path = tmp_path / "weights.pt"
    torch.save(state, path)
    network = _network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError, match=sentence):
        load_weights(network, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_something_else_than_a_state_dict_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save([torch.zeros(3)], path)
    with pytest.raises(WeightsError, match="holds no state dict"):
        load_weights(_network(), path)


def test_a_text_file_is_a_sentence_without_a_reader_code(tmp_path: Path) -> None:
    (tmp_path / "notes.pt").write_text("hello")
    with pytest.raises(WeightsError, match=r"damaged or not a torch file\.$"):
        load_weights(_network(), tmp_path / "notes.pt")
