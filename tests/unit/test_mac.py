"""HMAC-SHA256 by blocks that are hashed once, against the standard library's."""

import hmac

import pytest

from pileus.kernel.mac import Mac


@pytest.mark.parametrize("key_bytes", [0, 1, 32, 63, 64, 65, 200])
@pytest.mark.parametrize("message", [b"", b"m", b"message" * 100])
def test_is_what_the_standard_library_makes(key_bytes: int, message: bytes) -> None:
    key = bytes(number * 7 % 256 for number in range(key_bytes))
    mac = Mac(key)
    expected = hmac.digest(key, message, "sha256")
    assert mac.digest(message) == expected
    # One message leaves nothing behind for the next.
    assert mac.digest(message + b"x") == hmac.digest(key, message + b"x", "sha256")
    assert mac.digest(message) == expected


def test_known_answer() -> None:
    """RFC 4231, test case 2."""
    found = Mac(b"Jefe").digest(b"what do ya want for nothing?")
    assert found.hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
