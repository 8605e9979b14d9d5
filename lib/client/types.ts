import type { Static, TSchema } from 'typebox'
import type { ServerMessage } from '../protocol/hub-v1/schema.js'
import type { BackoffOptions } from './backoff.js'
import type { ClientCodec } from './codec.js'
import type { HubError } from './errors.js'
import type { ClientClock, PageLike, WebSocketConstructor } from './platform.js'

type Awaitable<T> = T | Promise<T>

/** Where a client is in the log of a room. */
export interface StreamPosition { epoch: string, offset: number }

/** Events of the application, by name: TypeBox schemas of what is sent and of what is answered. */
export type EventMap = Record<string, { data?: TSchema, reply?: TSchema }>

/** What an event is sent with; `undefined` where it has no schema for it. */
export type EventData<Event> = Event extends { data: infer Schema extends TSchema } ? Static<Schema> : undefined
/** What an event is answered with; `unknown` where it has no schema for it. */
export type EventReply<Event> = Event extends { reply: infer Schema extends TSchema } ? Static<Schema> : unknown
/** The arguments of `emit` after the name. Of a client without an event map: anything, or nothing. */
export type EmitArguments<Events extends EventMap, Name extends keyof Events> =
  string extends keyof Events ? [data?: unknown] : undefined extends EventData<Events[Name]> ? [data?: EventData<Events[Name]>] : [data: EventData<Events[Name]>]

/** Where a client stands. It is never without an end: each state but `open` and `closed` has a deadline after which it is another one. */
export type ClientState =
  /** Not before `open()`; or over, for the reason that `code` and `reason` are of. */
  { readonly is: 'closed', readonly code: number, readonly reason: string } |
  /** Asks for the url, connects, and waits for the server's first message. */
  { readonly is: 'connecting', readonly tries: number } |
  /** Connected, and on its way through what was missed. */
  { readonly is: 'recovering', readonly connection: string, readonly user: string | null } |
  /** Connected, and nothing is waited for: each room is up to date, or was refused, which its 'error' told. One may be asked for again. */
  { readonly is: 'open', readonly connection: string, readonly user: string | null } |
  /** The last connection ended with `code`. The next try is at `retryAt`: milliseconds since the Unix epoch. */
  { readonly is: 'waiting', readonly retryAt: number, readonly code: number, readonly reason: string, readonly tries: number }

/** What a url is asked for with. */
export interface UrlRequest {
  /** What the option `token` answered for this try; undefined without that option. */
  readonly token: string | undefined
  /** Tries in a row that have failed. */
  readonly tries: number
}

export interface OutboxOptions {
  /**
   * Messages that wait to be sent, at most: for a connection, for the rate that the server takes, or for the answers to 100 others.
   * Default 1000. 0: none waits, and what can not go at once fails.
   */
  maxMessages?: number
  /**
   * Who fails with `outbox_full` when it is full: the new one, or the oldest; that one with `uncertain`, if it was sent over an
   * earlier connection and may have been done. Default `'reject-new'`.
   */
  overflow?: 'reject-new' | 'drop-oldest'
  /**
   * Whether a request that was sent, but not answered when the connection ended, is sent again even if the server has lost
   * its memory of the session: done once or twice. false: it then fails with `uncertain`: done once or not at all. Default true.
   */
  resend?: boolean
}

export interface ClientOptions {
  /** Address of the hub, `wss://...`; or who answers it, anew for each try. */
  url: string | ((request: UrlRequest) => Awaitable<string>)
  /**
   * Answers the present credentials. Asked before each try, for `url` to put them where the server looks for them, and again
   * before they expire: then sent with `refresh`.
   */
  token?: () => Awaitable<string>
  /** Default JSON. Or `msgpack()` of `fastify-hub/client/msgpack`. */
  codec?: ClientCodec
  backoff?: BackoffOptions
  /** Tries in a row that may fail before the client gives up. Default 0: no limit. */
  maxTries?: number
  /** Milliseconds of trying and waiting in a row before the client gives up; those of a connection do not count. Default 0: no limit. */
  maxTime?: number
  /** Milliseconds a try may take: url, handshake, and first message of the server. Default 10000. */
  connectTimeout?: number
  /** Milliseconds after a ping that nobody answers. Default 10000. */
  pongTimeout?: number
  /** Milliseconds a request may take from the moment it was sent, over all connections together. Default 30000. 0: no limit. */
  requestTimeout?: number
  outbox?: OutboxOptions
  /** Whether `ack()` is called by the application, and not when the listeners of 'direct' are done. Default false. */
  manualAck?: boolean
  /** Default the platform's. Node before 22 has none: give it that of the package ws. */
  WebSocket?: WebSocketConstructor
  /** Who hears 'online', 'offline' and 'visibilitychange'. Default `globalThis`, if it hears anything. null: nobody. */
  page?: PageLike | null
  /** Numbers from 0 to 1, for the jitter. Default `Math.random`. */
  random?: () => number
  /** For tests. Default the machine's. */
  clock?: ClientClock
}

export interface ClientEvents {
  /** It has changed. */
  state: [state: ClientState]
  /** For this connection, this user or everybody. A listener that fails, or whose promise rejects, leaves it unacknowledged: it comes again. */
  direct: [data: unknown, info: { readonly ack: string | undefined }]
  /** The server has put this connection into a room that was not asked for. Its messages follow. */
  joined: [room: ClientRoom]
  /** The server is about to close the connection; the client comes back after so many milliseconds. */
  goodbye: [info: { readonly reconnectIn: number }]
  /** What no promise tells: an error that the server reports without a request, or one of a listener. */
  error: [error: unknown]
}

export interface RoomEvents {
  /** A publication. @param info `offset` is undefined for an ephemeral one */
  message: [data: unknown, info: { readonly offset: number | undefined }]
  /** In the room: for the first time, after a reconnect, or after a `join` with `since` in a room that was joined. */
  joined: [info: { readonly position: StreamPosition, readonly recovered: boolean | undefined }]
  /** The server has taken this connection out of the room. */
  left: []
  /** Publications after `since` are lost for this client: load the state anew. Those after `position` follow. */
  gap: [info: { readonly since: StreamPosition | null, readonly position: StreamPosition }]
  /** Changes of who is here; with `users`, everybody. */
  presence: [change: PresenceChange]
  /** The room could not be joined again. Without a listener, 'error' of the client tells it. */
  error: [error: HubError]
}

export type PresenceChange = Omit<ServerMessage<'presence'>, 'op' | 'room'>

export interface PresenceList {
  users: Array<{ user: string, connections: number }>
  states: Array<{ user: string, key: string }>
}

/** A room, as this client sees it. */
export interface ClientRoom {
  readonly name: string
  /** The last publication that the listeners have been given; null before the first `join`, and after `leave`. */
  readonly position: StreamPosition | null
  /** Whether the room is joined now. */
  readonly joined: boolean
  /**
   * Enters the room, now or as soon as there is a connection, and again after each reconnect until `leave`. Of a client that is
   * closed it rejects with `closed`: `open()` comes first.
   * @param options `since`: position of a state that was loaded before: what was published after it follows first
   * @returns the position from which on all publications follow
   * @throws HubError (as a rejection)
   */
  join (options?: { since?: StreamPosition }): Promise<StreamPosition>
  /** Listeners hear nothing more. Resolves when the server knows, or there is no connection. @throws HubError (as a rejection) */
  leave (): Promise<void>
  /**
   * Publishes; without a connection it waits in the outbox.
   * @param data a Uint8Array, or what JSON.stringify takes
   * @returns the position of the publication; of a room without history it has none when the server could not reach Redis
   * @throws HubError (as a rejection)
   */
  publish (data: unknown): Promise<Partial<StreamPosition>>
  /**
   * Who is in the room.
   * @param options `watch`: from now on, and after each reconnect, 'presence' tells of changes; false ends that
   * @throws HubError (as a rejection)
   */
  presence (options?: { watch?: boolean }): Promise<PresenceList>
  /** Calls `fn` each time. The function that it returns ends that. */
  on<Name extends keyof RoomEvents> (name: Name, fn: (...args: RoomEvents[Name]) => unknown): () => void
}

/** A client of a hub, made by `createClient`. */
export interface HubClient<Events extends EventMap = EventMap> {
  readonly state: ClientState
  /** Connects, if it is closed. */
  open (): void
  /** Ends it. Requests without an answer fail with `closed`; rooms are kept for a later `open()`. */
  close (): void
  /** Tries at once, without waiting; a connection that is open is given up for a new one. */
  reconnect (): void
  /** The room of this name: the same object each time. It is joined with `join()`. */
  room (name: string): ClientRoom
  /**
   * Sends an event, with data that JSON.stringify takes; without a connection it waits in the outbox.
   * @returns what the handler of the server answers
   * @throws HubError (as a rejection)
   */
  emit<Name extends keyof Events & string> (name: Name, ...args: EmitArguments<Events, Name>): Promise<EventReply<Events[Name]>>
  /** With `manualAck`: these direct messages have been taken care of. */
  ack (ids: string | readonly string[]): void
  /**
   * Sends new credentials.
   * @returns when they expire: milliseconds since the Unix epoch, null for never
   * @throws HubError (as a rejection)
   */
  refresh (data?: unknown): Promise<{ expiresAt: number | null }>
  /** Calls `fn` each time. The function that it returns ends that. */
  on<Name extends keyof ClientEvents> (name: Name, fn: (...args: ClientEvents[Name]) => unknown): () => void
}
