import { isIP } from 'node:net'
import type { Slot } from '../core/admission.js'
import { checkOptions as checkKnown, EXPIRY, isName, toExpiry } from '../core/arguments.js'
import { describe } from '../core/describe.js'
import { LocalHub } from '../core/hub.js'
import type { Connection, Hub, Identity } from '../core/types.js'
import { FST_HUB_INVALID_ARGUMENT } from '../errors.js'
import { hubCodecOf } from '../protocol/hub-v1/codecs.js'
import type { ClientMessage } from '../protocol/hub-v1/schema.js'
import { TestPeer } from './test-peer.js'

/** Who connects: what `identify` and the handshake would have found out. */
export interface ConnectOptions extends Identity {
  /** `connection.ip`. Default null: limits per address do not apply. */
  ip?: string | null | undefined
  /** `connection.subprotocol`. Default null. */
  subprotocol?: string | null | undefined
  /** For a subprotocol of hub.v1: what its first message, `resume`, says. Default `{}`: it has nothing from before. */
  resume?: Omit<ClientMessage<'resume'>, 'op'> | undefined
  /** For a subprotocol of hub.v1: sends no first message, so that onConnect begins a second later. Default false. */
  silent?: boolean | undefined
  /**
   * Bytes that the kernel takes from the server while the peer does not read them. Default 0: the first message that is
   * not read blocks the socket. Of a real connection it is some MiB. Infinity: the socket is never blocked.
   */
  kernel?: number | undefined
}

const NAME = ['a string of 1 to 255 bytes of UTF-8', isName] as const

/** What each option may be. */
const CHECKS: Record<keyof ConnectOptions, readonly [expected: string, check: (value: unknown) => boolean]> = {
  user: NAME,
  device: NAME,
  expiresAt: [EXPIRY, (value) => toExpiry(value) !== undefined],
  data: ['an object', (value) => typeof value === 'object' && value !== null],
  ip: ['an IP address, or null', (value) => value === null || (typeof value === 'string' && isIP(value) !== 0)],
  subprotocol: ['a string, or null', (value) => value === null || (typeof value === 'string' && value !== '')],
  resume: ['an object', (value) => typeof value === 'object' && value !== null],
  silent: ['a boolean', (value) => typeof value === 'boolean'],
  kernel: ['a number of bytes of at least 0', (value) => typeof value === 'number' && value >= 0]
}

/**
 * Connects a peer to the hub of an app, without a port and without HTTP: no Origin, no hooks, no `identify`. The hub treats
 * it like every other connection: it takes a slot, and waits for one where the hub lets it.
 * @param hub `app.hub` of an app that is ready
 * @returns when onConnect has begun, or the server has closed the connection instead
 * @throws FST_HUB_INVALID_ARGUMENT; FST_HUB_FULL and the other refusals of a slot, FST_HUB_DRAINING (as rejections)
 */
export async function connect (hub: Hub, options: ConnectOptions = {}): Promise<TestPeer> {
  const local = checkHub(hub)
  checkOptions(options)
  const { ip = null, subprotocol = null, kernel = 0, resume, silent = false, ...identity } = options
  const slot = await acquire(local, ip)
  const peer = new TestPeer(local.clock, kernel, (transport) => local.accept(transport, { identity, ip, subprotocol, slot }))
  // Whoever speaks hub.v1 enters with its first message.
  const codec = hubCodecOf(subprotocol)
  if (codec !== null && !silent) peer.say(codec.encode({ op: 'resume', ...resume }))
  if (local.get(peer.connection.id) !== undefined) return peer
  await new Promise<void>((resolve) => {
    const entered = (connection: Connection): void => { if (connection === peer.connection) settle() }
    const settle = (): void => {
      hub.off('connect', entered)
      resolve()
    }
    hub.on('connect', entered)
    peer.closed.then(settle, settle)
  })
  return peer
}

function checkHub (hub: unknown): LocalHub {
  if (!(hub instanceof LocalHub)) throw new FST_HUB_INVALID_ARGUMENT('hub', 'the hub of an app, such as app.hub', describe(hub))
  // Before that nobody would be told of broadcasts, and no deadline would run.
  if (!hub.wheel.running && !hub.admission.draining) throw new FST_HUB_INVALID_ARGUMENT('hub', 'the hub of an app that is ready (await app.ready())', 'one of an app that is not')
  return hub
}

function checkOptions (options: unknown): void {
  const names = Object.keys(CHECKS) as Array<keyof ConnectOptions>
  const given = checkKnown(options as ConnectOptions, names)
  for (const key of names) {
    const [value, [expected, check]] = [given[key], CHECKS[key]]
    if (value !== undefined && !check(value)) throw new FST_HUB_INVALID_ARGUMENT(`options.${key}`, expected, describe(value))
  }
}

async function acquire (hub: LocalHub, ip: string | null): Promise<Slot> {
  try {
    return await new Promise<Slot>((resolve, reject) => {
      const slot = hub.admission.acquire(ip, (error) => {
        if (error === null) resolve(slot)
        else reject(error)
      })
      if (slot.state === 'held') resolve(slot)
    })
  } catch (error) {
    hub.refuse(error as Error & { code: string, statusCode: number })
    throw error
  }
}
