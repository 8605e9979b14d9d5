import { isUtf8 } from 'node:buffer'
import { decode, encode, ExtensionCodec } from '@msgpack/msgpack'
import fc from 'fast-check'
import { clientMessages, type RequestId } from '../../lib/protocol/hub-v1/schema.js'
import { EVENTS, ROOMS } from './garbage-server.js'
import { arbitraryOf, jsonValues } from './schema-arbitrary.js'

/** What a client may offer to a server that is to survive it. */
export interface Garbage {
  readonly bytes: Buffer
  /** The id that an answer must have; null when whoever reads the bytes finds none; undefined when that is a matter of opinion. */
  readonly id: RequestId | null | undefined
  /** Whether it ends the connection when it arrives, before those in front of it have been handled. */
  readonly isFatal: boolean
}

export type CodecName = 'hub.v1.json' | 'hub.v1.msgpack'
type Members = Record<string, unknown>

const WRITERS: Record<CodecName, (value: unknown) => Buffer> = {
  'hub.v1.json': (value) => Buffer.from(JSON.stringify(value) ?? 'undefined'),
  'hub.v1.msgpack': (value) => Buffer.from(encode(value))
}

const mostly = (good: readonly string[], other: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> => fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...good) }, { weight: 1, arbitrary: other })
const ids = fc.oneof(fc.nat(), fc.string({ minLength: 1, maxLength: 20 }))

/** Messages as the schema has them, most of them about something that there is. */
const valid: fc.Arbitrary<Members> = fc.oneof(...Object.values(clientMessages).map((schema) => arbitraryOf(schema) as fc.Arbitrary<Members>))
  .chain((message) => fc.record({
    room: 'room' in message ? mostly(ROOMS, fc.constant(message['room'])) : fc.constant(undefined),
    event: 'event' in message ? mostly(EVENTS, fc.constant(message['event'])) : fc.constant(undefined),
    id: fc.option(ids, { nil: undefined, freq: 5 })
  }).map((better) => ({ ...message, ...Object.fromEntries(Object.entries(better).filter(([, value]) => value !== undefined)) })))

const anything: fc.Arbitrary<unknown> = fc.oneof(jsonValues, fc.constantFrom<unknown>(null, true, '', -1, 1.5, 2 ** 53, [], {}, 'x'.repeat(300)))

/** A member of a valid message goes, comes, or is something else. */
const nearlyValid: fc.Arbitrary<unknown> = fc.tuple(valid, fc.nat(), fc.constantFrom('remove', 'replace', 'add', 'wrap'), anything)
  .map(([message, n, what, value]) => {
    const keys = Object.keys(message)
    const key = keys[n % keys.length] as string
    if (what === 'remove') return Object.fromEntries(Object.entries(message).filter(([name]) => name !== key))
    if (what === 'wrap') return [message]
    return { ...message, [what === 'add' ? 'more' : key]: value }
  })

/** Bytes of a message, of which some are others, or missing. */
function damaged (bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc.tuple(bytes, fc.nat(), fc.integer({ min: 0, max: 255 }), fc.boolean()).map(([whole, at, byte, isCut]) => {
    const copy = Buffer.from(whole)
    if (isCut) return copy.subarray(0, at % copy.length)
    copy[at % copy.length] = byte
    return copy
  })
}

/** Messages of a client: valid ones, nearly valid ones, damaged ones, values that are no messages, and bytes that are nothing. */
export function garbage (codec: CodecName): fc.Arbitrary<Garbage> {
  const write = WRITERS[codec]
  const whole = fc.oneof(valid, nearlyValid).map(write)
  return fc.oneof(
    { weight: 4, arbitrary: valid.map(write) },
    { weight: 4, arbitrary: nearlyValid.map(write) },
    { weight: 2, arbitrary: damaged(whole) },
    { weight: 1, arbitrary: anything.map(write) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) }
  ).map((bytes) => codec === 'hub.v1.json'
    ? { bytes, id: idIn(() => JSON.parse(bytes.toString()) as unknown), isFatal: !isUtf8(bytes) }
    : { bytes, id: idIn(() => decode(bytes, { extensionCodec: NO_EXTENSIONS })), isFatal: false })
}

const NO_EXTENSIONS = new ExtensionCodec()
for (let type = -128; type < 128; type++) NO_EXTENSIONS.register({ type, encode: () => null, decode: () => { throw new Error('hub.v1.msgpack has no extensions') } })

function idIn (read: () => unknown): Garbage['id'] {
  try {
    const value = read()
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array || !Object.hasOwn(value, 'id')) return null
    const { id } = value as { id: unknown }
    // Without the sign of -0.
    if (typeof id === 'number') return Number.isSafeInteger(id) && id >= 0 ? Math.abs(id) : null
    if (typeof id !== 'string' || id === '') return null
    // Characters, of which each has one or two units: what is longer may be valid.
    return id.length <= 64 ? id : undefined
  } catch {
    return null
  }
}
