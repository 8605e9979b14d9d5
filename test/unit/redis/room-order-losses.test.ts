import fc from 'fast-check'
import t from 'tap'
import type { Publication } from '../../../lib/core/ports.js'
import type { StreamPosition } from '../../../lib/core/types.js'
import type { Comparison } from '../../../lib/redis/positions.js'
import { RoomOrder } from '../../../lib/redis/room-order.js'

interface Entry { readonly epoch: string, readonly publication: Publication, readonly isOwn: boolean }

interface Data { epoch: string, offset: number, run: number, start: number, before: Map<string, number>, texts: string[], bus: Entry[] }

const copy = (data: Data): Data => ({ ...data, before: new Map(data.before), texts: [...data.texts], bus: [...data.bus] })

/** What lua/epoch-shared.lua does, with one room, on servers of which each may lack what the one before had. */
class ModelRedis {
  data: Data = { epoch: 'e1000', offset: 0, run: 1, start: 0, before: new Map(), texts: [], bus: [] }
  #saved = copy(this.data)
  #run = 1
  #epochs = 1_000
  #texts = 0

  save (): void { this.#saved = copy(this.data) }

  restart (): void { this.#run++ }

  lose (): void {
    this.data = copy(this.#saved)
    this.#run++
  }

  publish (known: StreamPosition | null, isOwn: boolean): Entry {
    const isBehind = known !== null && this.#isBehind(known)
    if (isBehind || this.data.run !== this.#run) this.#turn(!isBehind)
    const text = `${++this.#texts}`
    const entry: Entry = { epoch: this.data.epoch, publication: { offset: ++this.data.offset, payload: text, options: {} }, isOwn }
    this.data.texts.push(text)
    this.data.bus.push(entry)
    return entry
  }

  ask (known: StreamPosition): Comparison {
    const isBehind = this.#isBehind(known)
    if (isBehind) this.#turn(false)
    const { epoch, offset, start } = this.data
    return { known: known.epoch, position: { epoch, offset }, sequence: 0, held: this.#heldOf(known.epoch), start }
  }

  #heldOf (epoch: string): number { return epoch === this.data.epoch ? this.data.offset : this.data.before.get(epoch) ?? -1 }

  #isBehind ({ epoch, offset }: StreamPosition): boolean {
    const held = this.#heldOf(epoch)
    return held < 0 ? epoch >= ([...this.data.before.keys()].toSorted()[0] ?? this.data.epoch) : offset > held
  }

  #turn (goesOn: boolean): void {
    const { data } = this
    if (goesOn) {
      data.before.set(data.epoch, data.offset)
    } else {
      data.before.clear()
      data.start = data.offset
    }
    data.epoch = `e${++this.#epochs}`
    data.run = this.#run
  }
}

const STEPS = ['other', 'own', 'read', 'read', 'read', 'reply', 'reply', 'answer', 'answer', 'save', 'restart', 'lose', 'compare'] as const

/** A node over all that; whatever is missing it finds in the log, when it looks. @returns what is wrong */
function run (steps: ReadonlyArray<typeof STEPS[number]>): string | null {
  const redis = new ModelRedis()
  /** What is on its way to the node: questions have been asked. */
  let replies: Entry[] = []
  let answers: Array<() => void> = []
  let read = 0
  const story: string[] = []
  const had = new Map<string, string>()
  /** Since it was told of an end. */
  let since = 'e1000'
  let texts = new Map<number, string>()
  const heard: Entry[] = []
  let wrong: string | null = null
  const fail = (what: string): void => { wrong ??= `${what}: ${story.join(' ')}` }
  const order: RoomOrder = new RoomOrder({
    deliver: (list) => {
      for (const { offset, payload } of list) {
        const text = payload as string
        story.push(`${offset}:${text}`)
        const name = `${order.epoch} ${offset}`
        if ((had.get(name) ?? text) !== text) fail(`two texts at ${name}`)
        had.set(name, text)
        if ([...texts.values()].includes(text)) fail(`${text} twice`)
        texts.set(offset, text)
      }
      return { sent: list.length, queued: 0, dropped: 0, rejected: 0 }
    },
    gap: (_, to) => {
      story.push(`| ${to.epoch} ${to.offset}`)
      since = to.epoch
      texts = new Map()
    },
    goesOn: (epoch) => { story.push(`> ${epoch}`) },
    turned: () => {
      const comparison = redis.ask(order.doubted ?? { epoch: order.epoch, offset: order.furthest })
      answers.push(() => {
        order.settle(comparison)
        order.learn(comparison.position)
      })
    },
    missing: () => {}
  })
  order.begin({ epoch: 'e1000', offset: 0 })
  const compare = (): void => {
    const comparison = redis.ask({ epoch: order.epoch, offset: order.furthest })
    answers.push(() => {
      if (comparison.held < 0) order.compare(comparison)
      order.learn(comparison.position)
    })
  }
  const step = (what: typeof STEPS[number]): void => {
    if (what === 'other') redis.publish(null, false)
    else if (what === 'own') replies.push(redis.publish({ epoch: order.epoch, offset: order.furthest }, true))
    else if (what === 'save') redis.save()
    else if (what === 'restart') redis.restart()
    else if (what === 'compare') compare()
    else if (what === 'answer') answers.shift()?.()
    else if (what === 'lose') {
      redis.lose()
      read = Math.min(read, redis.data.bus.length)
    } else if (what === 'read') {
      const entry = redis.data.bus[read]
      if (entry === undefined) return
      read++
      heard.push(entry)
      order.fromStream(entry.epoch, [entry.publication], entry.isOwn)
    } else {
      const entry = replies.shift()
      if (entry === undefined) return
      heard.push(entry)
      order.learn({ epoch: entry.epoch, offset: entry.publication.offset })
      order.fromReply(entry.epoch, [{ publication: entry.publication, done: () => {} }])
    }
  }
  for (const what of steps) step(what)
  for (let i = 0; i < 20; i++) {
    while (replies.length > 0) step('reply')
    while (read < redis.data.bus.length) step('read')
    while (answers.length > 0) step('answer')
    compare()
    while (answers.length > 0) step('answer')
    // One more, as nobody would hear of an epoch otherwise.
    if (i < 3) redis.publish(null, false)
    // The log, for what the bus has lost.
    else if (order.epoch === redis.data.epoch) order.fill(redis.data.texts.map((payload, index) => ({ offset: index + 1, payload, options: {} })))
  }
  replies = []
  answers = []
  const { epoch, offset, texts: all } = redis.data
  if (order.epoch !== epoch || order.last !== offset) fail(`it is at ${order.epoch} ${order.last}, and the room at ${epoch} ${offset}`)
  for (const [at, text] of texts) if (all[at - 1] !== text) fail(`${at} is ${all[at - 1] ?? 'nothing'}, not ${text}, and it was not told`)
  for (const { epoch: of, publication: { payload } } of heard) if (of >= since && !all.includes(payload as string)) fail(`${payload as string} of ${of} is lost, and nobody was told`)
  return wrong
}

t.test('FAULTS 54: whatever Redis loses, and whenever it is heard of: no place has two texts, nothing comes twice, and what is lost is told', async (t) => {
  fc.assert(fc.property(fc.array(fc.constantFrom(...STEPS), { maxLength: 60 }), (steps) => {
    const wrong = run(steps)
    if (wrong !== null) throw new Error(wrong)
  }), { numRuns: 5_000 })
  t.pass('5,000 runs')
})
