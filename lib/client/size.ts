/** Bytes of a text in a message. */
export function utf8Bytes (text: string): number { return new TextEncoder().encode(text).length }

/** Bytes of a value in a message, with what stands between it and the next one. As JSON: MessagePack never needs more. */
export function jsonBytes (value: unknown): number { return utf8Bytes(JSON.stringify(value)) + 1 }
