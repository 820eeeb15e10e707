"""Encrypt a file under a passphrase, part by part, so that no part can be changed, moved or left out.

The key is scrypt's (RFC 7914) of the passphrase. Each part is AES-256-GCM under a nonce of a random prefix,
the part's number and a flag on the last one: the STREAM construction (Hoang et al. 2015).
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from atoll_node.errors import SettingsError

MAGIC = b"atoll-backup-1\n"
SALT, PREFIX, TAG = 16, 7, 16
PART = 1 << 20
SHORTEST_PASSPHRASE = 12


def seal(source: BinaryIO, target: BinaryIO, passphrase: bytes, random: Callable[[int], bytes]) -> None:
    """Write ``source`` sealed into ``target``."""
    salt, prefix = random(SALT), random(PREFIX)
    cipher = AESGCM(_key(passphrase, salt))
    target.write(MAGIC + salt + prefix)
    for number, (part, is_last) in enumerate(_parts(source, PART)):
        target.write(cipher.encrypt(_nonce(prefix, number, is_last), part, MAGIC))


def unseal(source: BinaryIO, target: BinaryIO, passphrase: bytes) -> None:
    """Write what was sealed into ``target``. Raises ``SettingsError`` for a wrong passphrase or a change."""
    head = source.read(len(MAGIC) + SALT + PREFIX)
    if len(head) != len(MAGIC) + SALT + PREFIX or not head.startswith(MAGIC):
        raise SettingsError("backup.form", "this is no backup of a node")
    salt, prefix = head[len(MAGIC) : -PREFIX], head[-PREFIX:]
    cipher = AESGCM(_key(passphrase, salt))
    for number, (part, is_last) in enumerate(_parts(source, PART + TAG)):
        try:
            target.write(cipher.decrypt(_nonce(prefix, number, is_last), part, MAGIC))
        except InvalidTag as error:
            raise SettingsError(
                "backup.sealed",
                "the passphrase is another one, or the backup was changed or cut",
                "use the passphrase of its day, or an older backup",
            ) from error


def _parts(source: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """Yield the parts and whether each is the last; an empty source has one empty part."""
    part = source.read(size)
    while True:
        following = source.read(size)
        yield part, not following
        if not following:
            return
        part = following


def _nonce(prefix: bytes, number: int, is_last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([is_last])


def _key(passphrase: bytes, salt: bytes) -> bytes:
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise SettingsError(
            "backup.passphrase", f"a passphrase has at least {SHORTEST_PASSPHRASE} characters"
        )
    return Scrypt(salt=salt, length=32, n=2**16, r=8, p=1).derive(passphrase)
