"""A certificate authority of the throwaway cluster, what it signs, and the kubeconfigs made of that."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = timedelta(days=30)
_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
_ADDRESSES = ("127.0.0.1", "10.96.0.1")


@dataclass(frozen=True)
class Pair:
    """Two files in PEM: a certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs for one cluster; its files are in `folder`, `ca.crt` among them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throwaway cluster")])
        self.certificate = folder / "ca.crt"
        made = (
            _begun(self._name, self._name, self._key.public_key(), self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def sign(self, user: str, group: str = "", addresses: Sequence[str] = ()) -> Pair:
        """A certificate for a server on loopback and at `addresses`, and for a client that is `user` of `group`."""
        key = ec.generate_private_key(ec.SECP256R1())
        words = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group:
            words.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in _NAMES]
        names += [x509.IPAddress(ip_address(address)) for address in (*_ADDRESSES, *addresses)]
        made = (
            _begun(x509.Name(words), self._name, key.public_key(), self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        stem = user.replace(":", "-")
        pair = Pair(self._folder / f"{stem}.crt", write_key(key, self._folder / f"{stem}.key"))
        pair.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return pair

    def kubeconfig(self, server: str, user: str, group: str = "") -> Path:
        """A file that makes its holder `user` of `group` at the API server."""
        pair = self.sign(user, group)
        cluster = {"server": server, "certificate-authority-data": _encoded(self.certificate)}
        client = {"client-certificate-data": _encoded(pair.certificate), "client-key-data": _encoded(pair.key)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "throwaway", "cluster": cluster}],
            "users": [{"name": user, "user": client}],
            "contexts": [{"name": "throwaway", "context": {"cluster": "throwaway", "user": user}}],
            "current-context": "throwaway",
        }
        file = self._folder / f"{user.replace(':', '-')}.kubeconfig"
        file.touch(mode=0o600)
        file.write_text(json.dumps(content, indent=1))  # JSON is YAML too
        return file


def write_key(key: ec.EllipticCurvePrivateKey, file: Path) -> Path:
    """Write a private key without a password, for its owner alone."""
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


def service_account_keys(folder: Path) -> Pair:
    """The public and the private key of service accounts' tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = folder / "service-accounts.pub"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    return Pair(public, write_key(key, folder / "service-accounts.key"))


def client_context(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    """The address of a kubeconfig's current cluster, and TLS as its user.

    Reads kubeconfigs with embedded certificates, in JSON or YAML: those written here, and those of most local clusters.
    """
    cluster, user = _current(kubeconfig)
    context = server_context(kubeconfig)
    with tempfile.NamedTemporaryFile() as both:  # the ssl module reads certificates of its own from files only
        both.write(b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))
        both.flush()
        context.load_cert_chain(both.name)
    return cluster["server"], context


def server_context(kubeconfig: Path) -> ssl.SSLContext:
    """TLS that trusts a kubeconfig's cluster, as nobody yet."""
    cluster, _ = _current(kubeconfig)
    return ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())


def _current(kubeconfig: Path) -> tuple[dict[str, str], dict[str, str]]:
    content = yaml.safe_load(kubeconfig.read_text())
    current = _named(content["contexts"], content["current-context"])["context"]
    cluster = _named(content["clusters"], current["cluster"])["cluster"]
    return cluster, _named(content["users"], current["user"])["user"]


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if str(entry["name"]) == name)


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, issuers_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuers_key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
