import type { EventAnswer, EventDefinition, EventSchema } from './hub-v1/event-types.js'
import type { ClusterStats, ClusterStatsOptions, HubStats } from './stats-types.js'

export type * from './stats-types.js'

/** A value, or a promise of one. */
export type Awaitable<T> = T | Promise<T>

/**
 * What a full queue does with a new message: `'drop-oldest'` evicts queued messages until it fits,
 * `'reject-new'` refuses it, `'disconnect'` ends the connection as a slow reader (4429).
 */
export type Overflow = 'drop-oldest' | 'reject-new' | 'disconnect'

/**
 * What became of one message: `'sent'` it is part of this turn's write, `'queued'` it waits behind a
 * blocked socket, `'rejected'` the queue refused it, `'closed'` the connection is closing or gone.
 */
export type SendResult = 'sent' | 'queued' | 'rejected' | 'closed'

/**
 * A place in a room's log, which means one publication. Offsets are contiguous from 1. A new epoch means that the log was lost, or that another
 * Redis goes on with it: then the hub takes positions of before for as far as that has the room.
 */
export interface StreamPosition { epoch: string, offset: number }

/**
 * Data that the application keeps on a connection. Augment it: `declare module 'fastify-hub' { interface HubConnectionData { name?: string } }`.
 * Members should be optional unless `identify` always sets them: without `data` in the identity, a connection starts with `{}`.
 */
export interface HubConnectionData {}

/** Who a connection speaks for, as `identify` found it. `{}` is an anonymous connection. */
export interface Identity {
  /** User id, 1 to 255 bytes of UTF-8. Several connections may share it. */
  user?: string | undefined
  /** Device or session name, 1 to 255 bytes of UTF-8. */
  device?: string | undefined
  /**
   * When the credentials expire: a Date, or milliseconds (not seconds) since the Unix epoch. The connection is closed with 4401
   * then, unless `connection.refresh` has moved it. Judged by this machine's clock, as a token is on every HTTP request.
   * `Infinity`, or leaving it out: never. One that has passed already refuses the upgrade with 401.
   */
  expiresAt?: Date | number | undefined
  /** Becomes `connection.data`. */
  data?: HubConnectionData | undefined
}

/** One complete message of the peer. Its bytes stay valid for as long as the message is referenced. */
export interface Message {
  /** `true` for a binary message (RFC 6455 opcode 2), `false` for text. */
  readonly isBinary: boolean
  /** The payload. For a text message: its UTF-8 bytes, already checked by the parser. */
  readonly bytes: Uint8Array
  /** The payload as a string. */
  text (): string
  /**
   * The payload parsed as JSON.
   * @throws SyntaxError when it is not JSON; in `onMessage` that closes the connection with 1011 unless caught.
   */
  json<T = unknown> (): T
}

/** Options of one direct message. */
export interface SendOptions {
  /** Overrides `queue.overflow` for this message. */
  overflow?: Overflow | undefined
  /**
   * What the message is about, 1 to 255 bytes of UTF-8: where one with the same key still waits for a slow reader, this one
   * takes its place, at the end of the queue. For states, of which only the latest counts.
   */
  key?: string | undefined
}

/** Connections, or their ids, that a publication leaves out. */
export type Except = Connection | string | ReadonlyArray<Connection | string>

/** Options of one message to a user. */
export interface UserSendOptions extends SendOptions {
  /**
   * Keeps the message until a connection of the user has acknowledged it, also when there is none now: at least once, before
   * live messages, oldest first. Only connections that speak hub.v1 can acknowledge; the other options are for raw ones.
   */
  offline?: {
    /** Milliseconds. Default: the option `offline.ttl`. 0: no limit. */
    ttl?: number | undefined
  } | undefined
}

/** Options of one message to everybody. Its key is the same as that of a direct message. */
export interface BroadcastOptions extends SendOptions {
  /** Connections that do not get it. Ids travel between nodes. */
  except?: Except | undefined
}

/** Options of one message to a room. A key is one of this room, and only for ephemeral ones: another would leave a hole in the log. */
export interface PublishOptions extends BroadcastOptions {
  /** `true`: takes no offset and enters no history. Default `false`. */
  ephemeral?: boolean | undefined
}

/** Where a publication stands, and what happened to it on this node. Ephemeral ones and broadcasts have no position. */
export interface PublishResult {
  /** Of the room's log; absent for an ephemeral publication and a broadcast. */
  epoch?: string
  /** Its place in the room's log; absent for an ephemeral publication and a broadcast. */
  offset?: number
  /** Connections whose write of this turn it is part of. */
  sent: number
  /** Connections where it waits behind a blocked socket. */
  queued: number
  /** Older queued messages, of all connections together, that were evicted for it; not those that it replaced by its key. */
  dropped: number
  /** Connections whose queue refused it. */
  rejected: number
}

/** What happened to a message for a user. */
export interface UserSendResult {
  /** Connections that took it (`'sent'` or `'queued'`). */
  delivered: number
  /** The nodes that hold those connections. */
  nodes: string[]
  /** Whether it was kept for a later connection. */
  stored: boolean
  /**
   * There may be more: a node that holds, or held, a connection of the user has not answered within 2 s, or it could not be found out
   * which nodes do. Such a connection may get the message, or not. Absent when the numbers are complete.
   */
  partial?: true
}

/** Options of one kick. */
export interface KickOptions {
  /**
   * Close code. Default 4501, which tells the client not to come back; 1001 is the code for a client that should.
   */
  code?: number | undefined
}

/** How a connection ended. */
export interface DisconnectInfo {
  /** RFC 6455 section 7.4 close code, or one of ours (docs/errors.md). 1005: the peer gave none; 1006: no Close frame was seen. */
  code: number
  /** Of the peer's Close frame, or of whoever closed it here; the parser's message where the peer broke the protocol. `''` when none was given. */
  reason: string
  /** Who began it: the peer's Close frame, this server, or a broken network. */
  initiator: 'peer' | 'server' | 'network'
}

/** One accepted WebSocket. Its synchronous methods speak of this node, promises of the cluster. */
export interface Connection {
  /** Unique, opaque. */
  readonly id: string
  /** From `identify`; `null` for an anonymous connection. */
  readonly user: string | null
  /** From `identify`; `null` when none was given. */
  readonly device: string | null
  /** `request.ip` at the handshake (so `trustProxy` applies); `null` for `injectWS`. */
  readonly ip: string | null
  /** The negotiated subprotocol, or `null`. */
  readonly subprotocol: string | null
  /** Milliseconds since the Unix epoch. */
  readonly connectedAt: number
  /** When the last complete message, ping or pong arrived: milliseconds since the Unix epoch. */
  readonly lastSeen: number
  /**
   * When its credentials expire: milliseconds since the Unix epoch, `null` for never. From then on none of its messages is
   * handled, whenever it came, and it is closed with 4401 within a second.
   */
  readonly expiresAt: number | null
  /** The rooms it is in; in `onDisconnect` and after, those it was in at the end. */
  readonly rooms: ReadonlySet<string>
  /** Yours: starts as `identity.data`, or `{}`. An object, else setting it throws FST_HUB_INVALID_ARGUMENT. */
  data: HubConnectionData
  /** What waits behind a blocked socket. */
  readonly queued: { messages: number, bytes: number }
  /** `'connecting'` until `onConnect` has resolved. */
  readonly state: 'connecting' | 'open' | 'closing' | 'closed'
  /**
   * Sends one message. Does no I/O: what one turn of the event loop sends leaves in one write at its end.
   * A string goes as text, a Uint8Array as binary, a `Message` as it came, anything else as JSON text.
   * The bytes are copied, so the caller may change them afterwards.
   * @throws FST_HUB_INVALID_DATA for undefined, functions, symbols, bigints and cycles
   * @throws FST_HUB_INVALID_ARGUMENT for an unknown option or overflow policy, FST_HUB_INVALID_NAME for a key
   */
  send (data: unknown, options?: SendOptions): SendResult
  /**
   * Enters a room. Resolves with the room's position on entry: every later publication reaches the connection.
   * A room that nobody is in keeps its position for at least 5 minutes after its last use; then it begins again with a new epoch.
   * @throws FST_HUB_INVALID_NAME, FST_HUB_CLOSED, FST_HUB_BROKER_UNAVAILABLE (as rejections)
   */
  join (room: string): Promise<StreamPosition>
  /** Leaves a room; nothing happens when it was not in it. @throws FST_HUB_INVALID_NAME (as a rejection) */
  leave (room: string): Promise<void>
  /**
   * Moves the moment at which its credentials expire, later or earlier: for an application that has checked new ones.
   * @param expiresAt a Date or milliseconds (not seconds) since the Unix epoch; `null` or `Infinity` for never
   * @returns whether it lives on: `false` when it has ended, when the old moment has passed already (too late), and
   * when the new one has; the latter two close it with 4401
   * @throws FST_HUB_INVALID_ARGUMENT
   */
  refresh (expiresAt: Date | number | null): boolean
  /**
   * Closes with a Close frame after what was sent so far; terminated `deadlines.close` later if the peer does not answer.
   * Does nothing when it is already closing. Messages that have come before are still handled, but not where `onConnect` has
   * not ended yet: whom it turns away is not heard.
   * @param code 1000 (default), 1001, 1003, 1007 to 1014 except 1010, or 3000 to 4999
   * @param reason at most 123 bytes of UTF-8, cut at a character boundary
   * @throws FST_HUB_INVALID_CLOSE_CODE, FST_HUB_INVALID_ARGUMENT
   */
  close (code?: number, reason?: string): void
  /**
   * Ends this login: the directory forgets it first, then its node closes it.
   * @returns whether this call ended it, and it was not ending already
   * @throws FST_HUB_INVALID_CLOSE_CODE, FST_HUB_INVALID_ARGUMENT; FST_HUB_BROKER_UNAVAILABLE, and then it ends with 4501 when Redis is back (as rejections)
   */
  kick (reason?: string, options?: KickOptions): Promise<boolean>
  /** Ends it at once, without a Close frame: the peer sees 1006. Unless it was closing already, `onDisconnect` is told 1006 with the initiator `'server'`. */
  terminate (): void
}

/** A named set of connections. A handle: the room itself exists while it has members. */
export interface Room {
  readonly name: string
  /** Members on this node. */
  readonly size: number
  /** Members on this node. */
  connections (): IterableIterator<Connection>
  /**
   * Sends to every member; encoded once whatever their number.
   * @throws FST_HUB_INVALID_DATA, FST_HUB_INVALID_ARGUMENT, FST_HUB_INVALID_NAME for a key; FST_HUB_BROKER_UNAVAILABLE, and then it
   * may have been done all the same (as rejections)
   */
  publish (data: unknown, options?: PublishOptions): Promise<PublishResult>
  /**
   * The users in the room, each with the number of its connections. Anonymous connections are not listed.
   * @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection)
   */
  presence (): Promise<ReadonlyArray<{ user: string, connections: number }>>
  /**
   * What a user in the room is doing, such as typing. Whoever watches the room's presence is told when it begins and when it
   * ends, with the other changes of an interval; it is in no history.
   * @param key name of the state, 1 to 255 bytes of UTF-8
   * @param ttl milliseconds after which it ends unless it is set again; 0 ends it now
   * @throws FST_HUB_INVALID_NAME, FST_HUB_INVALID_ARGUMENT, FST_HUB_BROKER_UNAVAILABLE (as rejections)
   */
  setEphemeral (user: string, key: string, ttl: number): Promise<void>
  /**
   * Publications after `since`, oldest first, and the room's position. `recovered` says whether they are all there is
   * since then; without `since` it is `true`, and all that the option `history` keeps are returned.
   * @param limit the most publications to return. Default 0: no limit
   * @throws FST_HUB_INVALID_ARGUMENT, FST_HUB_BROKER_UNAVAILABLE (as rejections)
   */
  history (since?: StreamPosition, limit?: number): Promise<{ position: StreamPosition, publications: Array<{ offset: number, data: unknown }>, recovered: boolean }>
}

/** All connections of one user. */
export interface User {
  readonly id: string
  /** Connections on this node. */
  connections (): IterableIterator<Connection>
  /** Whether any node holds a connection of the user. @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection) */
  online (): Promise<boolean>
  /**
   * Sends to each connection of the user, on all nodes: to those of this node within the call, and resolves when the others have
   * taken it, or 2 s have passed. At most once; `offline` makes it at least once.
   * @throws FST_HUB_INVALID_DATA, FST_HUB_INVALID_ARGUMENT, FST_HUB_INVALID_NAME for a key (as rejections); FST_HUB_BROKER_UNAVAILABLE when no connection of this
   * node took it, and it could not be found out who else might; with `offline`, FST_HUB_OFFLINE_UNAVAILABLE when nothing is kept,
   * or the user's connections are there and none of them can acknowledge
   */
  send (data: unknown, options?: UserSendOptions): Promise<UserSendResult>
  /**
   * Ends the logins that the user has at this moment, those included whose `onConnect` has not begun. The directory forgets
   * them in one step, then they are closed: a login that comes later is untouched, also when it comes before the others are closed.
   * @returns how many this call ended, on all nodes, as far as those have said so within 2 s: one that is cut off from the others ends
   * them later, and they are not in the number; nor are, with the option `redis`, logins that wait for a sign of their client, which end when that comes
   * @throws FST_HUB_INVALID_CLOSE_CODE, FST_HUB_INVALID_ARGUMENT, FST_HUB_BROKER_UNAVAILABLE (as rejections)
   */
  kick (reason?: string, options?: KickOptions): Promise<number>
}

/** Whether this node should get traffic. */
export interface HubHealth {
  /**
   * `'draining'` from `drain()` or `app.close()` on, whatever else is wrong. `'degraded'` while one of these holds: the event
   * loop is later than `limits.maxLoopDelay`, or than 1 s when that is 0; all of `limits.connections` are taken; the server
   * dropped a socket in the last 10 s; `queue.maxTotalBytes` made the queues of this process drop something in the last 10 s; with
   * the option `redis`, Redis is away, or has refused something in the last 10 s, or nothing comes from the other nodes for 10 s.
   */
  status: 'ok' | 'degraded' | 'draining'
  /** Why it is not `'ok'`: sentences with figures, for people to read, whose wording may change. Empty when it is. */
  reasons: string[]
}

/** Arguments of the hub's events. */
export interface HubEvents {
  /** A connection entered the hub, just before `onConnect`. */
  connect: [connection: Connection]
  /** A connection is gone: exactly one for each `connect`. */
  disconnect: [connection: Connection, info: DisconnectInfo]
  /**
   * A queue was full: told at the end of the turn, once per connection. `dropped` is the sum of the messages evicted in that
   * turn, 0 when only new ones were rejected; `policy` is that of the last one, `bytes` what was queued after it.
   */
  overflow: [connection: Connection, info: { policy: Overflow, dropped: number, bytes: number }]
  /** A handler or a listener failed. Without a listener it is logged; where a listener of this event fails itself, both failures are. */
  error: [error: Error, connection: Connection | null]
}

/** The owner of all connections of this node. */
export interface Hub {
  readonly nodeId: string
  /** Connections on this node. */
  readonly size: number
  /** A connection of this node. */
  get (id: string): Connection | undefined
  /** The connections of this node. */
  connections (): IterableIterator<Connection>
  /** @throws FST_HUB_INVALID_NAME */
  room (name: string): Room
  /** @throws FST_HUB_INVALID_NAME */
  user (id: string): User
  /**
   * Sends to every connection.
   * @throws FST_HUB_INVALID_DATA, FST_HUB_INVALID_ARGUMENT, FST_HUB_INVALID_NAME for a key, FST_HUB_BROKER_UNAVAILABLE for more than 32 MiB
   * with the option `redis` (as rejections)
   */
  broadcast (data: unknown, options?: BroadcastOptions): Promise<PublishResult>
  /**
   * Defines an event that clients of hub.v1 may send: its data is checked against a schema, and what the handler returns is the
   * reply. A handler that throws an error with a `statusCode` of 400 to 499 tells the client its message; any other failure is
   * reported as one of the hub. docs/events.md.
   * @throws FST_HUB_INVALID_NAME, FST_HUB_INVALID_ARGUMENT, FST_HUB_DUPLICATE_EVENT
   */
  event<const S extends EventSchema, const Answer extends EventAnswer<S>> (name: string, definition: EventDefinition<S, Answer>): this
  /** The figures of this node. */
  stats (): HubStats
  /**
   * The figures of all nodes, as far as they answer in time.
   * @throws FST_HUB_INVALID_ARGUMENT (as a rejection)
   */
  stats (options: ClusterStatsOptions): Promise<ClusterStats>
  health (): HubHealth
  /**
   * Stops admitting and closes every connection with 1012, paced over `drain.spread`; what is left after
   * `drain.timeout` is terminated. Resolves when all are gone. `app.close()` does this by itself.
   */
  drain (): Promise<void>
  /** @throws FST_HUB_INVALID_ARGUMENT for an event that there is not, and a listener that is no function, as do `once` and `off` */
  on<E extends keyof HubEvents> (event: E, listener: (...args: HubEvents[E]) => void): this
  once<E extends keyof HubEvents> (event: E, listener: (...args: HubEvents[E]) => void): this
  off<E extends keyof HubEvents> (event: E, listener: (...args: HubEvents[E]) => void): this
}
