import createError, { type FastifyErrorConstructor } from '@fastify/error'

/*
 * Every coded error of fastify-hub. docs/errors.md is checked against this file: code, status, and when it occurs.
 * A `%s` is filled by the constructor's arguments.
 */

type CodedError<Arguments extends unknown[]> = FastifyErrorConstructor<{ code: string, statusCode: number }, Arguments>

/**
 * The return type is spelled out for the declarations: what createError infers is named by its default import, which has
 * no such type under bundler resolution, and lets an error without arguments take any.
 */
function coded<Arguments extends unknown[] = []> (code: string, message: string, statusCode: number): CodedError<Arguments> {
  return createError<string, number, Arguments>(code, message, statusCode)
}

/* ---- at register ---- */

/** An option is unknown, of the wrong type, out of range or contradicts another. Arguments: path, expected, got. */
export const FST_HUB_INVALID_OPTIONS = coded<[string, string, string]>('FST_HUB_INVALID_OPTIONS', 'fastify-hub option %s: expected %s, got %s', 500)
/** `decorateAs` names a decorator that the instance already has. */
export const FST_HUB_DUPLICATE_NAME = coded<[string]>('FST_HUB_DUPLICATE_NAME', "fastify-hub: the instance already has a decorator '%s'; give this hub another name with decorateAs", 500)

/* ---- answers to an upgrade ---- */

/** The handshake breaks RFC 6455 section 4.2.1 or HTTP/1.1. */
export const FST_HUB_BAD_HANDSHAKE = coded<[string]>('FST_HUB_BAD_HANDSHAKE', 'Bad WebSocket handshake: %s', 400)
/** The request is no upgrade, or to a route that has no WebSocket. */
export const FST_HUB_UPGRADE_REQUIRED = coded<[string]>('FST_HUB_UPGRADE_REQUIRED', 'Upgrade required: %s', 426)
/** Another method than GET on the hub's path. */
export const FST_HUB_METHOD_NOT_ALLOWED = coded<[string]>('FST_HUB_METHOD_NOT_ALLOWED', 'Method %s is not allowed here, a WebSocket handshake is a GET', 405)
/** The hub drains: come back to another node. */
export const FST_HUB_DRAINING = coded('FST_HUB_DRAINING', 'This node is draining', 503)
/** The event loop is later than `limits.maxLoopDelay`. */
export const FST_HUB_OVERLOADED = coded('FST_HUB_OVERLOADED', 'This node is overloaded', 503)
/** The Origin header is not in `origins`. */
export const FST_HUB_ORIGIN_DENIED = coded('FST_HUB_ORIGIN_DENIED', 'Origin not allowed', 403)
/** The client offered no subprotocol that the server speaks. */
export const FST_HUB_NO_SUBPROTOCOL = coded<[string]>('FST_HUB_NO_SUBPROTOCOL', 'No common subprotocol, this server speaks: %s', 400)
/** `limits.connectionsPerIp` is reached. */
export const FST_HUB_TOO_MANY_CONNECTIONS_PER_IP = coded('FST_HUB_TOO_MANY_CONNECTIONS_PER_IP', 'Too many connections from this address', 429)
/** `limits.upgradesPerSecond` is exceeded. */
export const FST_HUB_UPGRADE_RATE = coded('FST_HUB_UPGRADE_RATE', 'Too many connection attempts from this address', 429)
/** `limits.connections` is reached, and the waiting room too where there is one. */
export const FST_HUB_FULL = coded('FST_HUB_FULL', 'No connection slot is free', 503)
/** No slot became free within `limits.waitTimeout`. */
export const FST_HUB_WAIT_TIMEOUT = coded('FST_HUB_WAIT_TIMEOUT', 'No connection slot became free in time', 503)
/** Hooks and `identify` took longer than `deadlines.admit`. */
export const FST_HUB_ADMIT_TIMEOUT = coded('FST_HUB_ADMIT_TIMEOUT', 'The connection could not be admitted in time', 503)
/** `identify` threw an error without a status. */
export const FST_HUB_UNAUTHORIZED = coded('FST_HUB_UNAUTHORIZED', 'Not authenticated', 401)
/** What `identify` answered has expired already. */
export const FST_HUB_CREDENTIALS_EXPIRED = coded('FST_HUB_CREDENTIALS_EXPIRED', 'The credentials have expired', 401)
/** `identify` answered null. */
export const FST_HUB_FORBIDDEN = coded('FST_HUB_FORBIDDEN', 'Not allowed', 403)
/** `identify` answered something that is no Identity. Argument: what is wrong. */
export const FST_HUB_INVALID_IDENTITY = coded<[string]>('FST_HUB_INVALID_IDENTITY', 'identify returned an invalid identity: %s', 500)
/** A header set for the 101 response is malformed. Argument: its name. */
export const FST_HUB_INVALID_HEADER = coded<[string]>('FST_HUB_INVALID_HEADER', 'A response header for the handshake is malformed: %s', 500)

/* ---- from the hub's methods ---- */

/** The data can not be sent. */
export const FST_HUB_INVALID_DATA = coded<[string]>('FST_HUB_INVALID_DATA', 'Data can not be sent: %s', 500)
/** The name of a room or an event, or a user id, is not 1 to 255 bytes of UTF-8. It often comes from a request: hence the status. */
export const FST_HUB_INVALID_NAME = coded<[string, string]>('FST_HUB_INVALID_NAME', '%s must be a string of 1 to 255 bytes of UTF-8, got %s', 400)
/** Another argument is wrong. Arguments: name, expected, got. */
export const FST_HUB_INVALID_ARGUMENT = coded<[string, string, string]>('FST_HUB_INVALID_ARGUMENT', '%s: expected %s, got %s', 500)
/** The event has been defined before. Argument: its name, as `describe` shows it. */
export const FST_HUB_DUPLICATE_EVENT = coded<[string]>('FST_HUB_DUPLICATE_EVENT', 'The event %s is defined already', 500)
/** The close code may not be sent by an application. */
export const FST_HUB_INVALID_CLOSE_CODE = coded<[string]>('FST_HUB_INVALID_CLOSE_CODE', 'Close code must be 1000, 1001, 1003, 1007 to 1009, 1011 to 1014 or 3000 to 4999, got %s', 500)
/** The connection is closing or closed. */
export const FST_HUB_CLOSED = coded('FST_HUB_CLOSED', 'The connection is closed', 500)
/** `user.send` was to keep a message that nobody could acknowledge. Argument: why. */
export const FST_HUB_OFFLINE_UNAVAILABLE = coded<[string]>('FST_HUB_OFFLINE_UNAVAILABLE', 'The message can not be kept for the user: %s', 500)
/** A handler took longer than `deadlines.handler`. Argument: that many milliseconds. */
export const FST_HUB_HANDLER_TIMEOUT = coded<[string]>('FST_HUB_HANDLER_TIMEOUT', 'A handler did not finish within %s ms', 500)
/** Redis is away, did not answer in time, or refused a command: what was asked for may have been done all the same. Argument: why. */
export const FST_HUB_BROKER_UNAVAILABLE = coded<[string]>('FST_HUB_BROKER_UNAVAILABLE', 'Redis is not available: %s', 503)
