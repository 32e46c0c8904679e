"""Why no answer came, in the words of a person instead of a library's. Pure."""

import os
import ssl
from typing import Final

import aiohttp

_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.ClientConnectorSSLError, "nothing that speaks TLS answers there"),
    (aiohttp.ServerDisconnectedError, "it closed the connection"),
    (aiohttp.InvalidURL, "that is no address of a server"),
    (TimeoutError, "no answer came in time"),
)


def told(error: BaseException) -> str:
    """Return why a request got no answer, as a phrase on one line."""
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not trusted: {_of_certificate(error.certificate_error)}"
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} is not known"
        case aiohttp.ClientConnectorError():
            return _of_system(error.os_error)
        case OSError():
            return _of_system(error)
    return " ".join(str(error).split()) or type(error).__name__


def _of_certificate(error: Exception) -> str:
    said = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)
    return " ".join(said.split())


def _of_system(error: OSError) -> str:
    # What asyncio says repeats the address as Python writes it; the system's word for the number says what is wrong.
    said = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return " ".join((said[:1].lower() + said[1:]).split()) or type(error).__name__
