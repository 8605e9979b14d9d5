import { FST_HUB_BROKER_UNAVAILABLE, FST_HUB_INVALID_OPTIONS } from '../errors.js'
import { isReply } from './failures.js'
import type { Keys } from './keys.js'
import type { RedisLink, Reply } from './link.js'
import { Script } from './script.js'

/** A setting of Redis with which it goes, until it does not. */
export interface Setting {
  readonly setting: string
  readonly got: string
  readonly expected: string
}

/** What is needed at least of Redis' limits of bytes: a publication may be half as large. */
const LEAST_BYTES = 64 * 1024 * 1024
/** Seconds: the connection of commands is never silent for as long. */
const LEAST_TIMEOUT = 10
const VERSION = 7

const requirements = new Script('requirements')

/** Every command that is sent, or run by a script, with arguments that it takes. In docs/operations.md they are a line of an ACL. */
export const NEEDED = [
  'eval - 0', 'evalsha - 0', 'get KEY', 'set KEY -', 'del KEY', 'time', 'info',
  'hget KEY -', 'hset KEY - -', 'hkeys KEY', 'hsetnx KEY - -', 'hmget KEY -', 'hincrby KEY - 1', 'hdel KEY -',
  'pexpire KEY 1', 'pexpireat KEY 1', 'pexpiretime KEY', 'pttl KEY', 'persist KEY',
  'xadd KEY * - -', 'xack KEY - 0-0', 'xdel KEY 0-0', 'xgroup create KEY - $', 'xgroup destroy KEY -', 'xlen KEY', 'xrange KEY - +',
  'xreadgroup group - - streams KEY >', 'xtrim KEY maxlen 1',
  'zadd KEY 0 -', 'zcard KEY', 'zcount KEY 0 0', 'zrange KEY 0 0', 'zrem KEY -', 'zremrangebyscore KEY 0 0', 'zscore KEY -'
] as const

/** The same, where all that a node reads is read over one connection: not on a Redis Cluster. */
export const NEEDED_ALONE = ['client id', 'client unblock 0'] as const

/** Those without which less is known of a Redis that has lost something, or is about to. */
export const WANTED = ['xinfo stream KEY'] as const

/** By which settings are looked at; whoever may not has to look himself. */
const LOOK = 'config get -'

/**
 * Looks whether Redis is one with which this works, before anything is written to it.
 * @returns what is wrong with its settings
 * @throws FST_HUB_INVALID_OPTIONS when it can not work; FST_HUB_BROKER_UNAVAILABLE (as rejections)
 */
export async function checkRequirements (link: RedisLink, keys: Keys): Promise<Setting[]> {
  const info = await infoOf(link)
  checkServer(info, link.isCluster)
  const refused = await refusedOf(link, keys)
  const settings: Setting[] = []
  const needed = refused.filter((name) => name !== nameOf(LOOK) && !WANTED.some((command) => nameOf(command) === name))
  if (needed.length > 0) throw missing(needed, keys)
  const wanted = refused.filter((name) => name !== nameOf(LOOK))
  if (wanted.length > 0) settings.push({ setting: 'ACL', got: `a user that may not run ${wanted.join(', ')}`, expected: 'one that may' })
  const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1]
  if (policy !== undefined && policy !== 'noeviction') settings.push({ setting: 'maxmemory-policy', got: policy, expected: 'noeviction' })
  if (!refused.includes(nameOf(LOOK))) settings.push(...await lookAt(link))
  return settings
}

/** `''` where that is not known. */
async function infoOf (link: RedisLink): Promise<string> {
  try {
    return String(await link.early.call('INFO'))
  } catch (error) {
    if (isForbidden(error)) return ''
    throw error
  }
}

function checkServer (info: string, isCluster: boolean): void {
  const version = /^redis_version:((\d+)\S*)/m.exec(info)
  if (version !== null && Number(version[2]) < VERSION) throw new FST_HUB_INVALID_OPTIONS('redis', `Redis ${VERSION}.0 or later, or Valkey`, `Redis ${version[1] ?? ''}`)
  // Valkey calls it by the second name.
  const mode = /^(?:redis|server)_mode:(\S+)/m.exec(info)?.[1]
  if (mode === 'sentinel') throw new FST_HUB_INVALID_OPTIONS('redis', 'a Redis; for one behind Sentinels, a client that is given them as sentinels', 'a Sentinel')
  if (mode === 'cluster' && !isCluster) throw new FST_HUB_INVALID_OPTIONS('redis.client', 'an instance of Cluster', 'a connection to one server of a Redis Cluster')
}

/** @returns names of commands that may not be run, as an ACL has them */
async function refusedOf (link: RedisLink, keys: Keys): Promise<string[]> {
  const commands = [...NEEDED, ...link.isCluster ? [] : NEEDED_ALONE, ...WANTED, LOOK]
  const asked = commands.map((command) => command.split(' ').map((word) => word === 'KEY' ? keys.bus(0) : word))
  let numbers: Reply
  try {
    // The key is for a Redis Cluster, which has to be told where.
    numbers = await link.early.run(requirements, [keys.config], [JSON.stringify(asked)])
  } catch (error) {
    if (isForbidden(error)) throw missing(['eval', 'evalsha'], keys)
    throw error
  }
  return (numbers as readonly number[]).map((number) => nameOf(commands[number - 1] as string))
}

/** What is not as it should be. */
async function lookAt (link: RedisLink): Promise<Setting[]> {
  const flat = (await link.early.call('CONFIG', 'GET', 'timeout', 'client-output-buffer-limit', 'client-query-buffer-limit', 'proto-max-bulk-len', 'stream-node-max-*') as readonly Reply[]).map(String)
  const values = new Map(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] as string, flat[2 * i + 1] as string]))
  link.maxArgumentBytes = Number(values.get('proto-max-bulk-len') ?? link.maxArgumentBytes)
  // Streams are trimmed by whole nodes, the last one excepted.
  if (values.get('stream-node-max-bytes') !== '0') values.delete('stream-node-max-entries')
  return Array.from(values, ([setting, got]) => ({ setting, got, expected: expectedOf(setting, got) })).filter((found): found is Setting => found.expected !== null)
}

/** @returns null when it is as it should be */
function expectedOf (setting: string, got: string): string | null {
  switch (setting) {
    case 'timeout': return Number(got) > 0 && Number(got) < LEAST_TIMEOUT ? '0' : null
    case 'client-output-buffer-limit': return (/normal (\d+) (\d+)/.exec(got)?.slice(1) ?? []).some((bytes) => Number(bytes) > 0 && Number(bytes) < LEAST_BYTES) ? 'normal 0 0 0' : null
    case 'client-query-buffer-limit':
    case 'proto-max-bulk-len': return Number(got) < LEAST_BYTES ? `at least ${LEAST_BYTES}` : null
    case 'stream-node-max-entries': return got === '0' ? '100' : null
    default: return null
  }
}

/** `client unblock 0` is `client|unblock`. */
function nameOf (command: string): string {
  const [name, sub] = command.split(' ') as [string, string]
  return ['client', 'config', 'xgroup', 'xinfo'].includes(name) ? `${name}|${sub}` : name
}

/** Not allowed, or renamed. */
function isForbidden (error: unknown): boolean {
  return error instanceof FST_HUB_BROKER_UNAVAILABLE && (isReply(error, 'NOPERM') || isReply(error, 'ERR unknown command'))
}

function missing (names: readonly string[], { prefix }: Keys): Error {
  return new FST_HUB_INVALID_OPTIONS('redis', 'a user of Redis that may do what docs/operations.md lists', `one that may not run ${names.join(', ')}, or not with keys that begin with ${prefix}:`)
}
