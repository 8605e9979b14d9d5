/** Close codes by what ws's parser calls the error (RFC 6455 section 7.4.1); anything else is a protocol error. */
const CODES: Record<string, number> = {
  WS_ERR_INVALID_UTF8: 1007,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 1009,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
  // Of zlib: what is not deflate (RFC 7692 section 7.2.2).
  Z_BUF_ERROR: 1007,
  Z_DATA_ERROR: 1007
}
const PROTOCOL_ERROR = 1002

/** The code to close with after an error of ws's parser. */
export function closeCodeOf ({ code = '' }: Error & { code?: string }): number { return CODES[code] ?? PROTOCOL_ERROR }
