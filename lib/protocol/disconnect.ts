/**
 * The close codes that this server sends (RFC 6455 section 7.4). Of ours, 4000 to 4499 mean that the client may
 * reconnect, 4500 to 4999 that it must not. docs/errors.md is checked against this table.
 */
export interface Disconnect {
  readonly code: number
  /** Default text of the Close frame. */
  readonly reason: string
  /** Whether a client should come back by itself. */
  readonly reconnect: boolean
}

/** What a connection is ended with, be it by a code that is not in the table. */
export type Ending = Pick<Disconnect, 'code' | 'reason'>

const entry = (code: number, reason: string, reconnect: boolean): Disconnect => Object.freeze({ code, reason, reconnect })

export const disconnects = Object.freeze({
  /** Nothing is left to say. */
  normal: entry(1000, '', false),
  /** `messages` refuses this kind of message. */
  unsupportedData: entry(1003, 'unsupported message type', false),
  /** A text, or one in a message of hub.v1, is not UTF-8. */
  invalidPayload: entry(1007, 'not UTF-8', false),
  /** Over the rate for `limits.violations` messages in a row, or as many that were no messages of hub.v1. */
  policy: entry(1008, 'rate limit exceeded', false),
  /** A handler of the application failed. */
  internalError: entry(1011, 'internal error', true),
  /** The node drains. */
  restart: entry(1012, 'service restart', true),
  /** Logins can not be told apart from newer ones, as Redis is away, or one may be a later try of the client that has replaced it: `sessions` allows one only. */
  tryAgain: entry(1013, 'try again later', true),
  /** The credentials have expired: renew them, then come back. */
  expired: entry(4401, 'credentials expired', true),
  /** Nothing was heard for `heartbeat.timeout`. */
  heartbeat: entry(4408, 'heartbeat timeout', true),
  /** The peer reads slower than it is sent to, and the policy is `'disconnect'`. */
  slowReader: entry(4429, 'slow reader', true),
  /** `kick` without a code. */
  kicked: entry(4501, 'kicked', false),
  /** A newer login took its place, as `sessions` says. */
  replaced: entry(4502, 'replaced', false)
})

/** No Close frame came (RFC 6455 section 7.1.5). */
export const ABNORMAL = 1006
/** RFC 6455 section 7.4.1: a Close frame without a code. Never on the wire either. */
export const NO_STATUS = 1005

/** Whether an application may send this code: RFC 6455 section 7.4, IANA's WebSocket Close Code registry. */
export function isSendableCloseCode (code: unknown): code is number {
  if (typeof code !== 'number' || !Number.isInteger(code)) return false
  if (code >= 3000 && code <= 4999) return true
  return code >= 1000 && code <= 1014 && code !== 1002 && code !== 1010 && !(code >= 1004 && code <= 1006)
}

/** Whether a peer's Close frame may carry it: also what only a client has reason to send. */
export function isReceivableCloseCode (code: number): boolean {
  return isSendableCloseCode(code) || code === 1002 || code === 1010
}

/** Standard codes after which the same would only happen again: RFC 6455 section 7.4.1. */
const FINAL: readonly number[] = [1000, 1002, 1003, 1007, 1008, 1009, 1010]

/** Whether a client should come back by itself after this code, also after one that is not in the table. */
export function mayReconnect (code: number): boolean {
  return !FINAL.includes(code) && !(code >= 4500 && code <= 4999)
}
