import fc from 'fast-check'
import t from 'tap'
import type { PublicationOptions } from '../../../lib/core/ports.js'
import { decodeRecord, encodeBatch, encodeRecord, isEphemeral, placesOf, sectionsOf, type EncodedSection } from '../../../lib/redis/publication-codec.js'
import { HOSTILE_NAMES } from '../../contract/names.js'

const optionsOf = fc.record({
  except: fc.option(fc.uniqueArray(fc.string(), { maxLength: 3 }).map((ids) => new Set(ids)), { nil: undefined }),
  key: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
  overflow: fc.option(fc.constantFrom('drop-oldest' as const, 'reject-new' as const, 'disconnect' as const), { nil: undefined }),
  ephemeral: fc.option(fc.boolean(), { nil: undefined })
})

t.test('a record says what it was made of', async (t) => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), optionsOf, (text, options) => {
    const record = encodeRecord(text, options)
    const decoded = decodeRecord(7, record)
    if (decoded.offset !== 7) throw new Error('another offset')
    if (decoded.payload !== text) throw new Error(`${text} became ${String(decoded.payload)}`)
    const { except, key, overflow, ephemeral } = decoded.options
    t.same({ except: except === undefined ? undefined : [...except], key, overflow, ephemeral: ephemeral === true }, {
      except: options.except === undefined ? undefined : [...options.except], key: options.key, overflow: options.overflow, ephemeral: options.ephemeral === true
    })
    if (isEphemeral(record) !== (options.ephemeral === true)) throw new Error('its flag is wrong')
  }), { numRuns: 300 })
})

t.test('a batch holds its rooms and their records, and says where each of them is', async (t) => {
  const section = fc.record({ room: fc.constantFrom(...HOSTILE_NAMES, ''), records: fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes)), { maxLength: 5 }) })
  fc.assert(fc.property(fc.array(section, { maxLength: 6 }), (sections) => {
    const { bytes, places } = encodeBatch(sections)
    const decoded = [...sectionsOf(bytes)]
    if (decoded.length !== sections.length) throw new Error('another number of rooms')
    for (const [i, { room, records }] of sections.entries()) {
      const section = decoded[i] as EncodedSection
      if (section.room !== room || section.bound !== records.filter((record) => !isEphemeral(record)).length) throw new Error(`another room: ${room}`)
      if (String(placesOf(bytes, section)) !== String(places[i])) throw new Error('other places')
      for (const [j, record] of records.entries()) {
        if (!record.equals(bytes.subarray(places[i]?.[2 * j], places[i]?.[2 * j + 1]))) throw new Error('another record')
      }
    }
  }), { numRuns: 500 })
  t.pass('500 runs')
})

t.test('a batch that is cut off, or no batch, throws and never hangs', async (t) => {
  const { bytes } = encodeBatch([{ room: 'room', records: [encodeRecord('one', {}), encodeRecord('two', { key: 'k', ephemeral: true })] }])
  for (let end = 1; end < bytes.length; end++) t.throws(() => [...sectionsOf(bytes.subarray(0, end))])
  const [section] = [...sectionsOf(bytes)] as [EncodedSection]
  t.throws(() => placesOf(bytes, { ...section, end: section.end - 1 }), { message: 'a section that is cut off' })
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (garbage) => {
    try {
      const bytes = Buffer.from(garbage)
      for (const section of sectionsOf(bytes)) {
        const places = placesOf(bytes, section)
        for (let i = 0; i < places.length; i += 2) decodeRecord(1, bytes, places[i], places[i + 1])
      }
    } catch (error) {
      if (!(error instanceof Error)) throw new TypeError('no Error')
    }
  }), { numRuns: 2_000 })
})

t.test('what changes its bytes later does not change the record', async (t) => {
  const bytes = Buffer.from('bytes')
  const options: PublicationOptions = {}
  const record = encodeRecord(bytes, options)
  bytes.fill('!')
  t.equal(String(decodeRecord(1, record).payload), 'bytes')
})
