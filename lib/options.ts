import type { WebsocketPluginOptions } from '@fastify/websocket'
import type { FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify'
import type { HubCluster } from './core/cluster/hub-cluster.js'
import type { Clock } from './core/ports.js'
import type { HistoryOptions } from './core/history-policy.js'
import type { OriginMatcher, OriginRuleOf } from './core/origin.js'
import type { Awaitable, Connection, DisconnectInfo, Identity, Message, Overflow } from './core/types.js'

/**
 * One entry of `origins`: an origin (`https://app.example.com`), `https://*.example.com` (exactly one label),
 * `https://**.example.com` (one or more), `'same-origin'`, `'null'`, a RegExp on the whole header, or a function.
 */
export type OriginRule = OriginRuleOf<FastifyRequest>

/** An instance of ioredis 6, `Redis` or `Cluster`, as far as the hub looks at it. */
export interface RedisClient {
  readonly status: string
  readonly isCluster: boolean
  readonly options: object
  /** Makes another one like it. */
  duplicate (...args: never[]): unknown
}

/**
 * Options of `register`. One that is `undefined` is as good as left out. The manual is docs/options.md, made from the schema.
 */
export interface HubOptions {
  /** Path, or paths, of the WebSocket route, not percent-encoded; parameters allowed. Default `'/ws'`. */
  path?: string | readonly string[] | undefined
  /** Name of the decorator that holds the hub. Default `'hub'`. */
  decorateAs?: string | undefined
  /** Answer upgrades to routes without a WebSocket with 426. Default `true`. */
  guardUpgrades?: boolean | undefined
  /** Which Origin headers may connect. Default `'same-origin'`. */
  origins?: 'same-origin' | '*' | OriginRule | readonly OriginRule[] | undefined
  /** Admit clients that send no Origin header: they are no browsers. Default `true`. */
  allowMissingOrigin?: boolean | undefined
  /** Subprotocols that the server speaks, in order of preference. Default `[]`. */
  subprotocols?: readonly string[] | undefined
  /** Refuse a client that offers none of them with 400. Default `false`. */
  requireSubprotocol?: boolean | undefined
  /** Which kind of messages a peer may send; the other closes it with 1003. Default `'any'`. */
  messages?: 'any' | 'text' | 'binary' | undefined
  /** Says who a connection is, before the 101: null refuses it with 403, an error with its statusCode or 401. */
  identify?: ((request: FastifyRequest, reply: FastifyReply) => Awaitable<Identity | null>) | undefined
  /** A connection entered the hub. A promise is awaited before its messages are handled. */
  onConnect?: ((connection: Connection) => unknown) | undefined
  /** A message came. Messages of one connection are handled in order, one at a time. */
  onMessage?: ((connection: Connection, message: Message) => unknown) | undefined
  /** A connection is gone: exactly one call for each onConnect that began. */
  onDisconnect?: ((connection: Connection, info: DisconnectInfo) => unknown) | undefined
  /**
   * How many logins a user may have at once. The newest one wins: the older is closed with 4502. `'single-per-device'` counts each
   * device by itself; connections without a device are one device together. Anonymous connections are not counted. Default `'many'`.
   */
  sessions?: 'many' | 'single-per-user' | 'single-per-device' | undefined
  /** What peers that speak hub.v1 may do. */
  authorize?: {
    /** Whether a connection may enter a room. Asked for each room that it is not in yet, after a reconnect too; not for what the server joins. Without it nobody may. */
    join?: ((connection: Connection, room: string) => Awaitable<boolean>) | undefined
    /** Whether a connection may publish this in a room. Without it nobody may. */
    publish?: ((connection: Connection, room: string, data: unknown) => Awaitable<boolean>) | undefined
  } | undefined
  /** New credentials of a peer that speaks hub.v1: says who it is with them, as `identify` does; null refuses them. */
  refresh?: ((connection: Connection, data: unknown) => Awaitable<Identity | null>) | undefined
  /** What is kept of rooms, so that whoever comes back gets what was missed. */
  history?: {
    /** Publications kept per room. Default `0`. 0: none. */
    size?: number | undefined
    /** Milliseconds for which a publication is kept. Default `300_000` (300 s). 0: no limit. */
    ttl?: number | undefined
    /** `'log'`: all that was missed, or a word that it is gone. `'cache'`: only the latest publication counts. Default `'log'`. */
    mode?: 'log' | 'cache' | undefined
    /** Other values by room name, or pattern, in which `*` stands for any characters: the first that fits holds. */
    rooms?: Record<string, { size?: number | undefined, ttl?: number | undefined, mode?: 'log' | 'cache' | undefined }> | undefined
  } | undefined
  /** Messages for users who are not there: `user.send(data, { offline: {} })`. */
  offline?: {
    /** Messages kept per user; beyond, the oldest goes. Default `100`. 0: none can be kept. */
    maxMessages?: number | undefined
    /** Milliseconds for which a message is kept. Default `86_400_000` (86400 s). 0: no limit. */
    ttl?: number | undefined
  } | undefined
  /** Who is in a room. */
  presence?: {
    /** Milliseconds, at least 50, between two messages about changes in one room. Default `1_000` (1 s). */
    interval?: number | undefined
  } | undefined
  /**
   * Several nodes: they share rooms, history, users, presence and offline messages in Redis 7, or Valkey, by way of the package
   * ioredis 6. Without it, a hub is one process.
   */
  redis?: {
    /** `redis://user:password@host:6379/0`, `rediss://` for TLS, or the path of a socket. Either this or `client`. */
    url?: string | undefined
    /** An instance of ioredis, also one for Sentinel or Redis Cluster: connections like its own are made, and it is neither used itself nor closed. Either this or `url`. */
    client?: RedisClient | undefined
    /** In front of all keys, without braces, and the same on all nodes; the `keyPrefix` of `client` comes in front of it. Default `'hub'`. */
    prefix?: string | undefined
    /** Start also while Redis can not be reached; otherwise `register` fails. Default `false`. */
    lazy?: boolean | undefined
    /** Parts, 1 to 1,024, over which rooms and users are spread; the same on all nodes. Default `16`. */
    partitions?: number | undefined
    /** Milliseconds, 100 to 9,000, that a call waits for Redis; then FST_HUB_BROKER_UNAVAILABLE. Default `5_000` (5 s). */
    timeout?: number | undefined
    /** What nodes have to tell each other, until all have read it. */
    stream?: {
      /** Entries, at least 100 and about, that are kept per partition. Default `100_000`. */
      maxLength?: number | undefined
      /** Milliseconds, at least 1,000, for which they are kept. Default `300_000` (300 s). */
      ttl?: number | undefined
    } | undefined
  } | undefined
  /** How a hub.v1 client goes on after a reconnect. */
  resume?: {
    /** Milliseconds after its end for which a connection can be resumed, so that a request sent twice is done once. Default `120_000` (120 s). 0: never. */
    ttl?: number | undefined
    /** Secret of at least 32 characters for the tokens. Default a random one per process, so that no token outlives it. */
    secret?: string | undefined
  } | undefined
  /** An AsyncAPI 3 document of the events, rooms and messages of hub.v1. */
  asyncapi?: {
    /** Path of the document, such as `/asyncapi.json`. Without it none is served. */
    path?: string | undefined
    /** Title of the API. Default `'fastify-hub'`. */
    title?: string | undefined
    /** Version of the API. Default `'1.0.0'`. */
    version?: string | undefined
  } | undefined
  /** How dead peers are noticed. */
  heartbeat?: {
    /** Milliseconds of silence after which a peer is sent a ping. Default `30_000` (30 s). 0: no pings. */
    interval?: number | undefined
    /** Milliseconds of silence after which a peer is closed with 4408; more than `interval`. Default `60_000` (60 s). 0: never. */
    timeout?: number | undefined
  } | undefined
  /** How long things may take. */
  deadlines?: {
    /** Milliseconds for the hooks and `identify`, from the slot to the 101, and as many before for a promise of `origins`; then 503. Default `10_000` (10 s). 0: no limit. */
    admit?: number | undefined
    /** Milliseconds for the peer to take one write of at most 64 KiB; then it is ended as a slow reader, 4429. Default `10_000` (10 s). 0: no limit. */
    write?: number | undefined
    /** Milliseconds for one run of an asynchronous onConnect or onMessage; then 1011. Default `30_000` (30 s). 0: no limit. */
    handler?: number | undefined
    /** Milliseconds from our Close frame to the end of the socket; then it is terminated. Default `5_000` (5 s). 0: until the peer has been silent for `heartbeat.timeout`. */
    close?: number | undefined
  } | undefined
  /** The queue between the application and one slow reader. */
  queue?: {
    /** Messages that may wait behind a blocked socket, per connection. Default `64`. 0: no limit. */
    maxMessages?: number | undefined
    /** Bytes that may wait, per connection; a larger message is rejected at once. Default `1_048_576`. 0: no limit. */
    maxBytes?: number | undefined
    /** What a full queue does with a new message: evict older ones, refuse it, or end the connection. Default `'drop-oldest'`. */
    overflow?: Overflow | undefined
    /** Bytes that may wait in all queues of the process together; the fattest queue gives way first. Default `268_435_456`. 0: no limit. */
    maxTotalBytes?: number | undefined
  } | undefined
  /** permessage-deflate (RFC 7692). */
  compression?: {
    /** Of zlib, 1 (fast) to 9 (small). Default `0`. 0: off, the extension is not offered. */
    level?: number | undefined
    /** Bytes from which on a message is compressed, on the wire. Default `1_024`. 0: every message. */
    threshold?: number | undefined
  } | undefined
  /** The way in of one connection. */
  inbound?: {
    /** Messages, at least 1, that may wait for an asynchronous handler before the socket is paused. Default `4`. */
    maxPending?: number | undefined
  } | undefined
  /** Caps and rates. */
  limits?: {
    /** Connections of this hub. Default the open-file limit less 1,024, at most 100,000. 0: no limit. */
    connections?: number | undefined
    /** Connections, and upgrades that wait, per address (IPv6 by /64); then 429. Default `0`. 0: no limit. */
    connectionsPerIp?: number | undefined
    /** Upgrades per second and address, with a burst of one second; then 429. Default `0`. 0: no limit. */
    upgradesPerSecond?: number | undefined
    /** Open sockets of the HTTP server, plain ones included; sets `server.maxConnections` unless the app has. Default `0`. 0: nothing is set. */
    sockets?: number | undefined
    /** What happens at `connections`: 503 at once, or a place in a first-come line. Default `'reject'`. */
    onFull?: 'reject' | 'wait' | undefined
    /** Milliseconds that an upgrade waits in line; then 503. Default `5_000` (5 s). 0: no limit. */
    waitTimeout?: number | undefined
    /** Places in the line; then 503. Default `1_000`. 0: nobody waits. */
    maxWaiting?: number | undefined
    /** Milliseconds that the event loop may be late; beyond, upgrades get 503. Default `0`. 0: no limit. */
    maxLoopDelay?: number | undefined
    /** Bytes of a peer's largest message, all fragments together; then 1009. Default `65_536`. 0: no limit. */
    maxMessageBytes?: number | undefined
    /** Messages, pings and unasked pongs included, per second and connection; what is over it is dropped. Default `100`. 0: no limit. */
    messagesPerSecond?: number | undefined
    /** Messages, at least 1, that may come at once within that rate. Default `200`. */
    burst?: number | undefined
    /** Payload bytes per second and connection: who is ahead of it is not read for a while. Default `1_048_576`. 0: no limit. */
    bytesPerSecond?: number | undefined
    /** Messages over the rate in a row that close the connection with 1008. Default `10`. 0: never. */
    violations?: number | undefined
  } | undefined
  /** How the hub empties itself when the app closes. */
  drain?: {
    /** Milliseconds, less than `timeout`, over which connections are closed, but at least 128 per 100 ms. Default 5 s, or a third of timeout if that is less. 0: all at once. */
    spread?: number | undefined
    /** Milliseconds after which the rest is terminated. Default `15_000` (15 s). 0: wait for ever. */
    timeout?: number | undefined
  } | undefined
  /** Passed to Fastify's route. */
  route?: Pick<RouteShorthandOptions, 'schema' | 'config' | 'constraints' | 'preValidation' | 'preHandler' | 'logLevel'> | undefined
  /** Options of @fastify/websocket, which is registered unless the app has done so. */
  websocket?: WebsocketPluginOptions | undefined
  /** Time. For tests: a `TestClock` of `fastify-hub/testing`. */
  clock?: Clock | undefined
  /** Other hubs of the process, as whose fellow node this one behaves. For tests: a `TestCluster` of `fastify-hub/testing`. */
  cluster?: HubCluster | undefined
}

/** Every member is there, and none is undefined. */
type Complete<T> = { [K in keyof T]-?: NonNullable<T[K]> }

/** Where Redis is, and how it is used. One of `url` and `client` is there. */
export interface ResolvedRedis {
  url: string | undefined
  client: RedisClient | undefined
  prefix: string
  lazy: boolean
  partitions: number
  timeout: number
  stream: { maxLength: number, ttl: number }
}

/** Options with every default in its place. */
export interface ResolvedOptions extends
  Complete<Pick<HubOptions, 'decorateAs' | 'guardUpgrades' | 'allowMissingOrigin' | 'subprotocols' | 'requireSubprotocol' | 'messages' | 'sessions' | 'route' | 'websocket' | 'clock'>>,
  Pick<HubOptions, 'identify' | 'onConnect' | 'onMessage' | 'onDisconnect' | 'refresh' | 'cluster'> {
  paths: string[]
  /** `origins`, compiled. */
  isOriginAllowed: OriginMatcher<FastifyRequest>
  heartbeat: Complete<NonNullable<HubOptions['heartbeat']>>
  deadlines: Complete<NonNullable<HubOptions['deadlines']>>
  queue: Complete<Omit<NonNullable<HubOptions['queue']>, 'maxTotalBytes'>> & { maxTotalBytes: number | undefined }
  compression: Complete<NonNullable<HubOptions['compression']>>
  inbound: Complete<NonNullable<HubOptions['inbound']>>
  limits: Complete<NonNullable<HubOptions['limits']>>
  drain: Complete<NonNullable<HubOptions['drain']>>
  authorize: NonNullable<HubOptions['authorize']>
  history: HistoryOptions
  offline: Complete<NonNullable<HubOptions['offline']>>
  presence: Complete<NonNullable<HubOptions['presence']>>
  resume: { ttl: number, secret: string | undefined }
  asyncapi: { path: string | undefined, title: string, version: string }
  /** Undefined: all in this process. */
  redis: ResolvedRedis | undefined
}
