import type { Publication, PublicationOptions } from '../core/ports.js'
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

const NO_OPTIONS: PublicationOptions = {}
const ONLY_EPHEMERAL: PublicationOptions = { ephemeral: true }

/** The records of one room, for a batch. */
export interface Section {
  readonly room: string
  readonly records: readonly Buffer[]
}

/** Where in a batch the records of one room are: for each its first byte and the one behind its last, in turns. */
export interface Places {
  readonly room: string
  readonly places: readonly number[]
}

export function encodeRecord (payload: Payload, { except, key, overflow, ephemeral }: PublicationOptions): Buffer {
  const flags = ephemeral === true ? EPHEMERAL : 0
  if (except === undefined && key === undefined && overflow === undefined) {
    const record = encodePayload(payload, 1)
    record[0] = flags
    return record
  }
  const options: WireOptions = { ...except !== undefined && { e: [...except] }, ...key !== undefined && { k: key }, ...overflow !== undefined && { o: overflow } }
  const json = Buffer.from(JSON.stringify(options))
  const record = encodePayload(payload, 5 + json.length)
  record[0] = flags | HAS_OPTIONS
  record.writeUInt32BE(json.length, 1)
  json.copy(record, 5)
  return record
}

/** Whether a record takes no offset. @param start where it begins */
export function isEphemeral (bytes: Buffer, start = 0): boolean { return ((bytes[start] as number) & EPHEMERAL) !== 0 }

/**
 * The publication that a record holds.
 * @param start where it begins @param end where it ends
 * @throws Error for what is no record
 */
export function decodeRecord (offset: number, bytes: Buffer, start = 0, end = bytes.length): Publication {
  const flags = bytes[start] as number
  const ephemeral = (flags & EPHEMERAL) !== 0
  if ((flags & HAS_OPTIONS) === 0) return { offset, payload: decodePayload(bytes, start + 1, end), options: ephemeral ? ONLY_EPHEMERAL : NO_OPTIONS }
  const jsonEnd = start + 5 + bytes.readUInt32BE(start + 1)
  const { e, k, o } = JSON.parse(bytes.toString('utf8', start + 5, jsonEnd)) as WireOptions
  return {
    offset,
    payload: decodePayload(bytes, jsonEnd, end),
    options: { ...ephemeral && { ephemeral }, ...e !== undefined && { except: new Set(e) }, ...k !== undefined && { key: k }, ...o !== undefined && { overflow: o } }
  }
}

/** A batch, and where in it the records of each section are. */
export function encodeBatch (sections: readonly Section[]): { bytes: Buffer, places: ReadonlyArray<Places['places']> } {
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
    const own: number[] = []
    for (const record of records) {
      at = bytes.writeUInt32BE(record.length, at)
      bytes.set(record, at)
      own.push(at, at += record.length)
    }
    return own
  })
  return { bytes, places }
}

/**
 * Goes through a batch. The records are not decoded: most nodes need only some of them.
 * @throws Error for what is no batch
 */
export function * sectionsOf (batch: Buffer): Generator<Places> {
  for (let at = 0; at < batch.length;) {
    const nameEnd = at + 2 + batch.readUInt16BE(at)
    const room = batch.toString('utf8', at + 2, nameEnd)
    at = nameEnd + 4
    const places: number[] = []
    for (let left = batch.readUInt32BE(nameEnd); left > 0; left--) {
      const start = at + 4
      at = start + batch.readUInt32BE(at)
      if (at > batch.length) throw new RangeError('a batch that is cut off')
      places.push(start, at)
    }
    yield { room, places }
  }
}
