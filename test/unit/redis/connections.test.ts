import { inspect } from 'node:util'
import { Redis, type RedisOptions } from 'ioredis'
import t from 'tap'
import { connectionsTo, type Connection } from '../../../lib/redis/connections.js'

const optionsOf = (connection: Connection): RedisOptions => (connection as Redis).options

t.test('of a url: host, credentials and database as ioredis reads them', async (t) => {
  for (const [url, expected] of [
    ['redis://localhost', { host: 'localhost', port: 6379, db: 0, password: null }],
    ['redis://ann:p%40ss@host:7000/3', { host: 'host', port: 7000, db: 3, username: 'ann', password: 'p@ss' }],
    ['rediss://host', { host: 'host', tls: true }],
    ['/run/redis.sock?db=2', { path: '/run/redis.sock', db: 2 }]
  ] as const) {
    const { isCluster, keyPrefix, make } = await connectionsTo({ url, client: undefined })
    t.same([isCluster, keyPrefix], [false, ''])
    const connection = make('a name')
    t.equal(connection.status, 'wait', 'it is not connected')
    t.match(optionsOf(connection), { ...expected, connectionName: 'a name' }, url)
  }
})

t.test('of an instance: its server, and none of the settings that we rely upon', async (t) => {
  const strange: RedisOptions & { replyMapping: 'resp3' } = {
    lazyConnect: true,
    keyPrefix: 'app:',
    enableOfflineQueue: true,
    autoResendUnfulfilledCommands: true,
    maxRetriesPerRequest: null,
    commandTimeout: 1,
    blockingTimeout: 1,
    stringNumbers: true,
    replyMapping: 'resp3',
    readOnly: true,
    retryStrategy: null,
    sentinelRetryStrategy: () => null,
    reconnectOnError: null,
    enableAutoPipelining: true,
    socketTimeout: 1
  }
  const client = new Redis({ ...strange, host: 'somewhere', port: 7000, username: 'ann', password: 'secret', tls: { servername: 'x' }, enableReadyCheck: false })
  const { isCluster, keyPrefix, make } = await connectionsTo({ url: undefined, client })
  t.same([isCluster, keyPrefix], [false, 'app:'])
  const [one, other] = [make('one'), make('other')]
  t.not(one, client)
  t.not(one, other)
  t.match(optionsOf(one), { host: 'somewhere', port: 7000, username: 'ann', password: 'secret', tls: { servername: 'x' }, enableReadyCheck: false, connectionName: 'one' })
  for (const [key, value] of Object.entries(strange)) {
    if (key !== 'lazyConnect') t.not(optionsOf(one)[key as keyof RedisOptions], value, key)
  }
  t.equal(client.status, 'wait', 'it was not used')
})

t.test('between two tries to connect there is a pause that grows, and differs', async (t) => {
  const { retryStrategy } = optionsOf((await connectionsTo({ url: 'redis://localhost', client: undefined })).make('x'))
  const pauses = (times: number): number[] => Array.from({ length: 100 }, () => Number(retryStrategy?.(times)))
  for (const [times, longest] of [[1, 100], [2, 200], [3, 400], [6, 1_000], [1_000_000, 1_000]] as const) {
    const all = pauses(times)
    t.ok(all.every((ms) => ms >= longest / 2 && ms <= longest), `${times}: up to ${longest} ms`)
    t.ok(new Set(all).size > 5)
  }
})

t.test('another connection is made when this one is not to the master', async (t) => {
  const { reconnectOnError } = optionsOf((await connectionsTo({ url: 'redis://localhost', client: undefined })).make('x'))
  for (const [message, expected] of [["READONLY You can't write", true], ['MASTERDOWN Link', true], ['OOM command', false], ['ERR READONLY ', false], ['BUSY Redis', false]] as const) t.equal(reconnectOnError?.(new Error(message)), expected, message)
})

t.test('the password is not in what makes connections', async (t) => {
  const connections = await connectionsTo({ url: 'redis://:confidential@localhost', client: undefined })
  t.notMatch(inspect(connections, { depth: null, showHidden: true }), /confidential/)
})
