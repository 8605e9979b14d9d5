/**
 * What an `error` message of hub.v1 may have as its code. docs/protocol.md is checked against this table.
 * A client that does not know a code treats it like `internal`.
 */
export const wireErrors = Object.freeze({
  /** Not JSON, or not MessagePack, or not an object with an `op`. */
  malformed: 'malformed',
  /** No such `op`. */
  unknownOp: 'unknown_op',
  /** A member is missing or wrong: `path` says which. */
  invalidMessage: 'invalid_message',
  /** No event of this name. */
  unknownEvent: 'unknown_event',
  /** The data of an event is not as its schema has it: `path` says where. */
  invalidData: 'invalid_data',
  /** The handler of an event says no: the message is its own. */
  rejected: 'rejected',
  /** The application does not allow it. */
  notAllowed: 'not_allowed',
  /** The connection is not in this room. */
  notJoined: 'not_joined',
  /** Over the rate of messages. */
  rateLimited: 'rate_limited',
  /** The application failed. */
  internal: 'internal',
  /** The server can not do it now: it was not done, or may be done again. */
  unavailable: 'unavailable'
})

export type WireErrorCode = (typeof wireErrors)[keyof typeof wireErrors]
