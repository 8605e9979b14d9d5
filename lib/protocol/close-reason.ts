/** Longest reason that fits a Close frame beside the code: RFC 6455 section 5.5. */
const MAX_REASON_BYTES = 123

/** Cuts a reason to what fits, never inside a character. */
export function fitReason (reason: string): string {
  if (reason.length <= MAX_REASON_BYTES / 3) return reason
  const bytes = Buffer.from(reason)
  if (bytes.length <= MAX_REASON_BYTES) return bytes.toString()
  let end = MAX_REASON_BYTES
  // 10xxxxxx is a continuation byte: step back to the first byte of the character that would be cut.
  while ((bytes.readUInt8(end) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}
