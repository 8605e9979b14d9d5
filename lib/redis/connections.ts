import type { Cluster, Redis, RedisOptions as ClientOptions } from 'ioredis'
import { FST_HUB_INVALID_OPTIONS } from '../errors.js'

/** A connection of ours, to one server or to a Redis Cluster. */
export type Connection = Redis | Cluster

/** Where Redis is: one of the two. */
export interface RedisTarget {
  /** As ioredis takes it: `redis://user:password@host:6379/0`, `rediss://` for TLS, or the path of a socket. */
  readonly url: string | undefined
  /** An instance of ioredis. It is asked for connections like its own, and not used itself. */
  readonly client: object | undefined
}

/** The first and the longest pause between two tries to connect, in milliseconds. */
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 1_000
/** Milliseconds without a byte after which a connection on which an answer is due has gone: a script may block a server for long. */
const SILENCE_MS = 20_000
/** The same where another server may have taken over meanwhile, with Sentinels or in a Redis Cluster: nobody tells that of one that is silent. */
const SILENCE_OF_ONE_MS = 5_000
const CONNECT_TIMEOUT_MS = 5_000
/** Milliseconds between two questions whether Redis has loaded its data, at most. */
const LOADING_MS = 1_000
/** Milliseconds for the answer of a Sentinel, before the next one is asked. */
const SENTINEL_TIMEOUT_MS = 2_000
/** Milliseconds that a server has to close its side when we have closed ours. */
const END_MS = 500
/** After a failover the old master is a replica, or one without a master: the new one is found by connecting again. */
export const NOT_THE_MASTER = /^(READONLY|MASTERDOWN) /

/** What no setting of the application's may change: a command is sent once, at once or not at all, and its answer has one form. */
const OURS = {
  lazyConnect: true,
  enableOfflineQueue: false,
  // The idempotency of a batch is ours; a second XADD of ioredis' would be a second entry.
  autoResendUnfulfilledCommands: false,
  // What was sent and not answered fails when the connection is lost. With null it would never settle.
  maxRetriesPerRequest: 0,
  enableAutoPipelining: false,
  // Part of the prefix of our own.
  keyPrefix: '',
  connectTimeout: CONNECT_TIMEOUT_MS,
  // Of a Redis that is loading its data: it guesses for how long, and may be right or not.
  maxLoadingRetryTime: LOADING_MS,
  socketTimeout: SILENCE_MS,
  disconnectTimeout: END_MS,
  // The link has its own for calls, and the reader blocks for as long as it likes.
  commandTimeout: undefined,
  blockingTimeout: undefined,
  stringNumbers: false,
  replyMapping: 'legacy',
  readOnly: false,
  monitor: false,
  retryStrategy: (times: number): number => retryDelay(times),
  role: 'master',
  sentinelCommandTimeout: SENTINEL_TIMEOUT_MS,
  // Without it, a moment without any Sentinel would be the end of the connection.
  sentinelRetryStrategy: (times: number): number => retryDelay(times),
  reconnectOnError: (error: Error): boolean => NOT_THE_MASTER.test(error.message)
} satisfies ClientOptions

/** Makes connections, all alike. */
export interface Connections {
  /** Whether it is a Redis Cluster: a command has keys of one slot only. */
  readonly isCluster: boolean
  /** The prefix that the application's instance gives its keys. */
  readonly keyPrefix: string
  /** One that is not connected. @param name for CLIENT LIST @param isReader whether it is for one stream only: then it is one to one server, of a cluster as well */
  make (name: string, isReader?: boolean): Connection
}

/** @throws FST_HUB_INVALID_OPTIONS when ioredis is not installed, or keys with the prefix of `client` would be all over its cluster (as a rejection) */
export async function connectionsTo ({ url, client }: RedisTarget): Promise<Connections> {
  return like((client ?? await unconnected(url as string)) as Connection)
}

/** An instance that never connects, from which others are made. */
async function unconnected (url: string): Promise<Redis> {
  let Redis: typeof import('ioredis').Redis
  try {
    ({ Redis } = await import('ioredis'))
  } catch (error) {
    throw new FST_HUB_INVALID_OPTIONS('redis', 'the package ioredis beside it (npm install ioredis)', (error as Error).message)
  }
  return new Redis(url, { lazyConnect: true })
}

function like (client: Connection): Connections {
  if (!isCluster(client)) {
    const { keyPrefix, sentinels } = client.options
    const socketTimeout = (sentinels ?? []).length > 0 ? SILENCE_OF_ONE_MS : SILENCE_MS
    return { isCluster: false, keyPrefix: keyPrefix ?? '', make: (connectionName) => inItsDatabase(client.duplicate({ ...OURS, socketTimeout, connectionName })) }
  }
  const { options: { keyPrefix = '' } } = client
  // "Hash tags" of the specification of Redis Cluster: empty braces in front of ours are no tag, and nor are ours then.
  if (/^[^{]*\{\}/.test(keyPrefix)) throw new FST_HUB_INVALID_OPTIONS('redis.client', 'an instance whose keyPrefix does not begin with empty braces: keys of one partition would not be in one slot', JSON.stringify(keyPrefix))
  const { retryStrategy, enableOfflineQueue: _, lazyConnect, enableAutoPipelining, ...redisOptions } = OURS
  return {
    isCluster: true,
    keyPrefix,
    make: (connectionName, isReader = false) => client.duplicate([], {
      lazyConnect,
      enableAutoPipelining,
      // Of nodes that it has not spoken with yet: it connects to each with the first command for it.
      enableOfflineQueue: true,
      // Here and for each node: an empty one would be replaced by that of the nodes.
      keyPrefix: redisOptions.keyPrefix,
      scaleReads: 'master',
      // It would keep the connection to whomever it has asked how the cluster is. A reader finds that out by reading.
      enableReadyCheck: !isReader,
      clusterRetryStrategy: retryStrategy,
      clusterNodeRetryStrategy: null,
      // A command is sent again when it was redirected, and not when its connection was lost: it may have been done.
      retryDelayOnFailover: 0,
      redisOptions: { ...redisOptions, socketTimeout: SILENCE_OF_ONE_MS, connectionName }
    })
  }
}

/** Ends a connection, whatever it is doing. */
export async function end (connection: Connection): Promise<void> {
  const { status } = connection
  if (status === 'end' || status === 'wait') return
  const ended = new Promise<void>((resolve) => { connection.once('end', () => { resolve() }) })
  connection.disconnect(false)
  if (status === 'reconnecting') {
    // Between two tries it has nothing that could end, and tells of none; but it waits for the old socket once more.
    if ('stream' in connection) connection.stream.emit('close')
    return
  }
  let timer: NodeJS.Timeout | undefined
  // It may be asking a Sentinel, which it does before it notices.
  const late = new Promise<void>((resolve) => { timer = setTimeout(resolve, 2 * END_MS) })
  await Promise.race([ended, late])
  clearTimeout(timer)
}

/** Where Redis has no such database, or does not let us in there, ioredis tells it and stays in the first one: among the keys of others. */
function inItsDatabase (connection: Redis): Redis {
  connection.on('error', ({ command }: Error & { command?: { name: string } }) => { if (command?.name === 'select') connection.stream.destroy() })
  return connection
}

function isCluster (client: Connection): client is Cluster { return client.isCluster }

/** Each node at a time of its own, so that Redis is not met by all of them at once. */
function retryDelay (times: number): number {
  const longest = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(times, 10))
  return Math.round(longest * (0.5 + Math.random() / 2))
}
