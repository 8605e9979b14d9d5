const MAX_NAME_BYTES = 255

/** Whether it can name a room, a user or a device: 1 to 255 bytes of well-formed UTF-8. */
export function isName (value: unknown): value is string {
  // A string of more than 255 UTF-16 units has more than 255 bytes. A lone surrogate has no UTF-8: two such names would be one.
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME_BYTES &&
    Buffer.byteLength(value) <= MAX_NAME_BYTES && !/\p{Surrogate}/u.test(value)
}
