import type { Publication, PublicationOptions } from '../core/ports.js'
import type { Payload } from '../protocol/frame.js'
import { decodePayload, encodePayload } from './payload-codec.js'

/*
 * A publication as bytes, a *record*: one byte of flags; if it has options, their length (32 bits) and their JSON; the
 * payload. A batch is a list of sections, one for each room: the length of its name (16 bits), the name, how many of its records take
 * an offset (32 bits), the length of them all (32 bits), and for each its length (32 bits) and its bytes. Numbers are big-endian.
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

/** A section of an encoded batch. */
export interface EncodedSection {
  readonly room: string
  /** How many of its records take an offset. */
  readonly bound: number
  /** Where its records begin in the batch, and where they end. */
  readonly start: number
  readonly end: number
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

/** A batch, and where in it the records of each section are: of each its first byte and the one behind its last, in turns. */
export function encodeBatch (sections: readonly Section[]): { bytes: Buffer, places: ReadonlyArray<readonly number[]> } {
  const names = sections.map(({ room }) => Buffer.from(room))
  let length = 0
  for (const [i, { records }] of sections.entries()) {
    length += 10 + (names[i] as Buffer).length
    for (const record of records) length += 4 + record.length
  }
  const bytes = Buffer.allocUnsafe(length)
  let at = 0
  const places = sections.map(({ records }, i) => {
    const name = names[i] as Buffer
    at = bytes.writeUInt16BE(name.length, at)
    at += name.copy(bytes, at)
    const head = at
    const own: number[] = []
    let bound = 0
    at += 8
    for (const record of records) {
      if (!isEphemeral(record)) bound++
      at = bytes.writeUInt32BE(record.length, at)
      bytes.set(record, at)
      own.push(at, at += record.length)
    }
    bytes.writeUInt32BE(bound, head)
    bytes.writeUInt32BE(at - head - 8, head + 4)
    return own
  })
  return { bytes, places }
}

/**
 * Goes through a batch, and not through its records: most nodes need only some of them.
 * @throws Error for what is no batch
 */
export function * sectionsOf (batch: Buffer): Generator<EncodedSection> {
  for (let at = 0; at < batch.length;) {
    const nameEnd = at + 2 + batch.readUInt16BE(at)
    const start = nameEnd + 8
    const end = start + batch.readUInt32BE(nameEnd + 4)
    if (end > batch.length) throw new RangeError('a batch that is cut off')
    yield { room: batch.toString('utf8', at + 2, nameEnd), bound: batch.readUInt32BE(nameEnd), start, end }
    at = end
  }
}

/**
 * Where the records of a section are: of each its first byte and the one behind its last, in turns.
 * @throws Error for what is no section
 */
export function placesOf (batch: Buffer, { start, end }: EncodedSection): number[] {
  const places: number[] = []
  for (let at = start; at < end;) {
    const first = at + 4
    at = first + batch.readUInt32BE(at)
    if (at > end) throw new RangeError('a section that is cut off')
    places.push(first, at)
  }
  return places
}
