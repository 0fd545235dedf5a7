"""What is wrong with a request whose bytes can't be read, or not in one way only."""

from proxy.errors import InvalidRequestError


class BadRequestError(InvalidRequestError):
    """The bytes are no request, or not a safe one."""

    code = "bad_request"


class HeadTooLargeError(InvalidRequestError):
    """The head is larger than what is read of one."""

    status = 431
    code = "request_header_fields_too_large"


class UnknownCodingError(InvalidRequestError):
    """The body comes in a transfer coding that is not read here (RFC 9112 §6.1)."""

    status = 501
    code = "unsupported_transfer_encoding"
