import type { WireErrorCode } from '../protocol/hub-v1/errors.js'

/** What the client itself finds wrong. */
export type ClientErrorCode =
  /** `close()` was called, a close code was final, or the tries are used up: nothing is sent any more. */
  'closed' |
  /** There is no connection at the moment, and this is nothing that is kept for the next one. */
  'disconnected' |
  /**
   * The connection ended before the answer, and it is not asked again: with `resend: false`, where the server does not know any more
   * whether it was done; with `overflow: 'drop-oldest'`, to make room.
   */
  'uncertain' |
  /** No answer within `requestTimeout`. */
  'timeout' |
  /** More messages wait to be sent than `outbox.maxMessages` allows. */
  'outbox_full' |
  /** The message is larger than what the server takes: it would close the connection. */
  'too_large' |
  /** `leave()` was called before the room had been joined. */
  'left' |
  /** What the server sent can not be read. */
  'unreadable' |
  /** The codec has no form for the data: a BigInt, what contains itself, or bytes as the data of anything but a publication. */
  'unwritable'

/** Why a request failed, or what went wrong without one. */
export class HubError extends Error {
  override readonly name = 'HubError'
  /** One of the server's codes (docs/protocol.md), or of the client's. */
  readonly code: WireErrorCode | ClientErrorCode | (string & {})
  /** JSON Pointer (RFC 6901) to what is wrong with the data. */
  readonly path: string | undefined
  /** The room that it is about. */
  readonly room: string | undefined

  constructor (code: HubError['code'], message: string, { path, room, cause }: { path?: string | undefined, room?: string | undefined, cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.path = path
    this.room = room
  }
}

/** What it says, whatever was thrown. */
export function messageOf (error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error)
  } catch {
    return 'no message'
  }
}

/** Whether it only tells that there is no connection any more. */
export function isLoss (error: unknown): boolean {
  return error instanceof HubError && (error.code === 'disconnected' || error.code === 'closed')
}
