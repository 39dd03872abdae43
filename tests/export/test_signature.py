"""Who made a model file: signed on export, verified by the runtime, with keys as OpenSSL writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mmvq_bridge.command import BadInput
from mmvq_export.cli import main
from mmvq_export.export import export_run
from mmvq_export.metadata import private_key, seal
from mmvq_run.cli import main as run_main
from mmvq_run.model import Model

from .conftest import about


class Keys:
    """Two PEM files of a key made for the test."""

    def __init__(self, folder: Path, key: Any = None) -> None:
        key = key or Ed25519PrivateKey.generate()
        self.private, self.public = folder / "key.pem", folder / "public.pem"
        folder.mkdir(exist_ok=True)
        self.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> onnx.ModelProto:
    return onnx.load_from_string(export_run(tiny_run, "none", "x86", 1).data([]))


@pytest.fixture
def signed(model: onnx.ModelProto, keys: Keys, tmp_path: Path) -> Path:
    path = tmp_path / "signed.onnx"
    path.write_bytes(seal(model, about(model.SerializeToString()), private_key(str(keys.private))))
    return path


@pytest.fixture
def unsigned(model: onnx.ModelProto, tmp_path: Path) -> Path:
    path = tmp_path / "unsigned.onnx"
    path.write_bytes(seal(model, about(model.SerializeToString())))
    return path


def test_a_file_is_signed_on_export_and_the_runtime_takes_it(
    tiny_run: Path, keys: Keys, command: Callable[..., Any], tmp_path: Path
):
    path = tmp_path / "m.onnx"
    assert command(main, tiny_run, "--out", path, "--sign", keys.private).status == 0
    assert Model(path, str(keys.public)).metadata.labels == Model(path).metadata.labels  # a signature changes nothing
    assert "signature   there" in command(main, "inspect", path, "--verify", keys.public).out


def test_the_same_run_and_key_give_the_same_bytes(signed: Path, model: onnx.ModelProto, keys: Keys):
    assert signed.read_bytes() == seal(model, about(signed.read_bytes()), private_key(str(keys.private)))


def test_another_key_no_signature_and_changed_bytes_are_refused(
    signed: Path, unsigned: Path, model: onnx.ModelProto, keys: Keys, tmp_path: Path
):
    with pytest.raises(BadInput, match="its signature is not of"):
        Model(signed, str(Keys(tmp_path / "other").public))
    with pytest.raises(BadInput, match="not signed; sign it with mmvq-export --sign"):
        Model(unsigned, str(keys.public))
    # Whoever changes the file can make its checksum anew, but not its signature.
    forged = tmp_path / "forged.onnx"
    words = about(signed.read_bytes()) | {"temperature": 2.0}
    forged.write_bytes(seal(model, words, Ed25519PrivateKey.generate()))
    Model(forged)
    with pytest.raises(BadInput, match="its signature is not of"):
        Model(forged, str(keys.public))


def test_mmvq_run_verifies_before_anything_else(signed: Path, unsigned: Path, keys: Keys, command: Callable[..., Any]):
    ended = command(run_main, "--demo", "--speed", "max", "--model", unsigned, "--verify", keys.public)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "not signed" in ended.err


@pytest.mark.parametrize(("option", "kind"), [("--sign", "private"), ("--verify", "public")])
def test_what_is_no_key_is_refused_in_one_line(
    option: str, kind: str, tiny_run: Path, unsigned: Path, keys: Keys, command: Callable[..., Any], tmp_path: Path
):
    other = Keys(tmp_path / "other", generate_private_key(SECP256R1()))
    swapped = keys.public if kind == "private" else keys.private
    (tmp_path / "words.pem").write_text("no key")
    for path in (tmp_path / "gone.pem", tmp_path / "words.pem", getattr(other, kind), swapped):
        words = [tiny_run, "--out", tmp_path / "m.onnx"] if option == "--sign" else ["inspect", unsigned]
        ended = command(main, *words, option, path)
        assert ended.status == 2
        assert str(path) in ended.err and ended.err.count("\n") == 1
        assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("option", ["--sign", "--verify"])
def test_without_the_package_the_error_names_the_extra(
    option: str, tiny_run: Path, unsigned: Path, keys: Keys, command: Callable[..., Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("mmvq_run.signature.find_spec", lambda name: None)
    words = [tiny_run, "--out", tmp_path / "m.onnx"] if option == "--sign" else ["inspect", unsigned]
    ended = command(main, *words, option, keys.public)
    assert ended.status == 2
    assert f"{option} needs the package cryptography; pip install 'mmvq[sign]'" in ended.err
