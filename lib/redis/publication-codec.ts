import type { PublicationOptions } from '../core/ports.js'
import type { Payload } from '../protocol/frame.js'
import { decodePayload, encodePayload } from './payload-codec.js'

/*
 * A publication as bytes, a *record*: one byte of flags; if it has options, their length (32 bits) and their JSON; the
 * payload. A batch is a list of sections, one for each room: the length of its name (16 bits), the name, the number of
 * records (32 bits), and for each its length (32 bits) and its bytes. Numbers are big-endian.
 */
const [EPHEMERAL, HAS_OPTIONS] = [0x01, 0x02]

/** Options as JSON has them. */
interface WireOptions { readonly e?: readonly string[], readonly k?: string, readonly o?: NonNullable<PublicationOptions['overflow']> }

/** What a record says. */
export interface Decoded {
  readonly payload: Payload
  readonly options: PublicationOptions
}

/** The records of one room in a batch. */
export interface Section {
  readonly room: string
  readonly records: readonly Buffer[]
}

/** A batch, and where in it each record is: by section, the first byte and the one behind the last. */
export interface EncodedBatch {
  readonly bytes: Buffer
  readonly places: ReadonlyArray<ReadonlyArray<readonly [start: number, end: number]>>
}

export function encodeRecord (payload: Payload, { except, key, overflow, ephemeral }: PublicationOptions): Buffer {
  const body = encodePayload(payload)
  const flags = ephemeral === true ? EPHEMERAL : 0
  if (except === undefined && key === undefined && overflow === undefined) return Buffer.concat([Buffer.of(flags), body])
  const options: WireOptions = { ...except !== undefined && { e: [...except] }, ...key !== undefined && { k: key }, ...overflow !== undefined && { o: overflow } }
  const json = Buffer.from(JSON.stringify(options))
  const head = Buffer.allocUnsafe(5)
  head[0] = flags | HAS_OPTIONS
  head.writeUInt32BE(json.length, 1)
  return Buffer.concat([head, json, body])
}

/** Whether it takes no offset. */
export function isEphemeral (record: Buffer): boolean { return ((record[0] as number) & EPHEMERAL) !== 0 }

/** @throws Error for what is no record */
export function decodeRecord (record: Buffer): Decoded {
  const flags = record[0] as number
  const ephemeral = (flags & EPHEMERAL) !== 0
  if ((flags & HAS_OPTIONS) === 0) return { payload: decodePayload(record.subarray(1)), options: ephemeral ? { ephemeral } : {} }
  const end = 5 + record.readUInt32BE(1)
  const { e, k, o } = JSON.parse(record.toString('utf8', 5, end)) as WireOptions
  return {
    payload: decodePayload(record.subarray(end)),
    options: { ...ephemeral && { ephemeral }, ...e !== undefined && { except: new Set(e) }, ...k !== undefined && { key: k }, ...o !== undefined && { overflow: o } }
  }
}

export function encodeBatch (sections: readonly Section[]): EncodedBatch {
  const names = sections.map(({ room }) => Buffer.from(room))
  let length = 0
  for (const [i, { records }] of sections.entries()) {
    length += 6 + (names[i] as Buffer).length
    for (const record of records) length += 4 + record.length
  }
  const bytes = Buffer.allocUnsafe(length)
  let at = 0
  const places = sections.map(({ records }, i) => {
    const name = names[i] as Buffer
    at = bytes.writeUInt16BE(name.length, at)
    at += name.copy(bytes, at)
    at = bytes.writeUInt32BE(records.length, at)
    return records.map((record) => {
      at = bytes.writeUInt32BE(record.length, at)
      const start = at
      at += record.copy(bytes, at)
      return [start, at] as const
    })
  })
  return { bytes, places }
}

/**
 * Goes through a batch. The records are not decoded: most nodes need only some of them.
 * @throws Error for what is no batch
 */
export function * sectionsOf (batch: Buffer): Generator<Section> {
  for (let at = 0; at < batch.length;) {
    const nameEnd = at + 2 + batch.readUInt16BE(at)
    const room = batch.toString('utf8', at + 2, nameEnd)
    at = nameEnd + 4
    const records: Buffer[] = []
    for (let left = batch.readUInt32BE(nameEnd); left > 0; left--) {
      const end = at + 4 + batch.readUInt32BE(at)
      if (end > batch.length) throw new RangeError('a batch that is cut off')
      records.push(batch.subarray(at + 4, end))
      at = end
    }
    yield { room, records }
  }
}
