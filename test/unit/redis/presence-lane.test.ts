import t from 'tap'
import { Contact } from '../../../lib/redis/contact.js'
import { Keys } from '../../../lib/redis/keys.js'
import type { Argument, Reply } from '../../../lib/redis/link.js'
import { PresenceLane, type Due, type Step } from '../../../lib/redis/presence-lane.js'
import type { Script } from '../../../lib/redis/script.js'
import { Turns } from '../../../lib/redis/turns.js'
import { settled as turn } from '../../helpers/until.js'

interface Batch {
  readonly keys: readonly string[]
  /** Number of the life that is renewed, or 0; whether it may begin, and for how long it goes on. */
  readonly life: readonly [number: number, mayBegin: number, ttl: number]
  /** How many may be removed, and until when. */
  readonly removes: readonly [most: number, till: number]
  /** As `e room pair ttl`. */
  readonly steps: string[]
  answer: (isMore?: boolean, ...changed: number[]) => Promise<void>
  /** Redis takes this node for dead. */
  over: () => Promise<void>
  fail: () => Promise<void>
}

/** What is due waits for a turn of its own. */
const settled = async (): Promise<void> => { for (let i = 0; i < 2; i++) await turn() }

/** The time of Redis. */
let now = 1_700_000_000_000

/** A Redis that answers when the test says so. */
function setup (onOver = (_lane: PresenceLane): void => {}): { lane: PresenceLane, batches: Batch[] } {
  const batches: Batch[] = []
  const run = async (_script: Script, keys: readonly string[], args: readonly Argument[]): Promise<Reply> => await new Promise<Reply>((resolve, reject) => {
    const count = Number(args[8])
    const names = args.slice(9, 9 + count)
    const steps: string[] = []
    for (let i = 9 + count; i < args.length; i += 4) steps.push([args[i], names[Number(args[i + 1]) - 1], args[i + 2], args[i + 3]].join(' '))
    batches.push({
      keys,
      life: [Number(args[1]), Number(args[2]), Number(args[3])],
      removes: [Number(args[6]), Number(args[7])],
      steps,
      answer: async (isMore = false, ...changed) => {
        resolve([now, isMore ? 1 : 0, 0, ...steps.map((_, i) => changed[i] ?? 1)])
        await settled()
      },
      over: async () => {
        resolve([now, 0, 1])
        await settled()
      },
      fail: async () => {
        reject(new Error('away'))
        await settled()
      }
    })
  })
  const lane = new PresenceLane({ run }, new Keys('hub', 1, false), 0, { nodeId: 'node', ttl: 90_000, kept: 900_000, busLength: 1_000, contact: new Contact(1_000), turns: new Turns() }, onOver)
  return { lane, batches }
}

const enter = (pair: string, room = 'room'): Step => ({ kind: 'enter', room, pair })

class FakeDue implements Due {
  readonly told: boolean[] = []
  failures = 0
  next: Step | null

  constructor (step: Step | null) { this.next = step }

  step (): Step | null { return this.next }
  done (changed: boolean): void { this.told.push(changed) }
  failed (): void { this.failures++ }
}

t.test('the steps of a turn go together, in their order, and what comes meanwhile goes next', async (t) => {
  const { lane, batches } = setup()
  const calls = [lane.push(enter('a')), lane.push({ kind: 'state', room: 'other', pair: 'k', ttl: 5 }), lane.push({ kind: 'leave', room: 'room', pair: 'a' }), lane.push({ kind: 'unwatch', room: 'room' })]
  await settled()
  calls.push(lane.push(enter('b')), lane.push({ kind: 'watch', room: 'room' }))
  await settled()
  t.same(batches.map(({ steps }) => steps), [['e room a 0', 's other k 5', 'l room a 0', 'u room  0']])
  t.same(batches[0]?.keys, ['bus', 'batches', 'lives', 'presence:room', 'presence-index:room', 'states:room', 'watch:room', 'presence:other', 'presence-index:other', 'states:other', 'watch:other'].map((key) => `hub:{0}:${key}`))
  const isSettled = lane.settled
  await batches[0]?.answer(false, 1, 0, 1, 1)
  t.same(batches[1]?.steps, ['e room b 0', 'w room  0'])
  await batches[1]?.answer()
  t.same(await Promise.all(calls), [true, false, true, true, true, true])
  await isSettled
  t.equal(batches.length, 2)
})

t.test('a batch is bounded, and has room for what is due', async (t) => {
  const { lane, batches } = setup()
  for (let i = 0; i < 600; i++) lane.push(enter(`${i}`)).catch(() => {})
  for (let i = 0; i < 80; i++) lane.add(new FakeDue(enter(`due ${i}`)))
  await settled()
  for (let i = 0; i < 4; i++) await batches[i]?.answer()
  t.same(batches.map(({ steps }) => steps.length), [256, 208, 216])
  const due = batches.map(({ steps }) => steps.filter((step) => step.includes('due')).length)
  t.same(due, [64, 16, 0])
})

t.test('what is due is done as things are then, once, and again when it failed and is kicked', async (t) => {
  const { lane, batches } = setup()
  const [one, none] = [new FakeDue(enter('a')), new FakeDue(null)]
  for (const due of [one, none, one]) lane.add(due)
  t.ok(lane.has(one))
  await settled()
  t.equal(batches.length, 0)
  lane.kick()
  one.next = { kind: 'leave', room: 'room', pair: 'a' }
  await settled()
  t.notOk(lane.has(one))
  await batches[0]?.fail()
  t.ok(lane.has(one))
  await settled()
  t.equal(batches.length, 1, 'not by itself')
  lane.kick()
  await settled()
  await batches[1]?.answer(false, 0)
  t.same([one.told, one.failures], [[false], 1])
  t.same([none.told, lane.has(none), lane.has(one)], [[], false, false])
  t.same(batches.map(({ steps }) => steps), [['l room a 0'], ['l room a 0']])
  lane.add(one)
  lane.remove(one)
  lane.kick()
  await lane.drain()
  t.equal(batches.length, 2)
})

t.test('when a batch fails, what waits behind it fails, and what comes then is tried', async (t) => {
  const { lane, batches } = setup()
  const errors: string[] = []
  const note = (error: Error): void => { errors.push(error.message) }
  const again: Array<Promise<boolean>> = []
  lane.push(enter('a')).catch((error: Error) => {
    note(error)
    // From within the failure: the lane must not think that it is at work still.
    again.push(lane.push(enter('c')))
  })
  await settled()
  lane.push(enter('b')).catch(note)
  await batches[0]?.fail()
  t.same(errors, ['away', 'away'])
  t.same(batches.map(({ steps }) => steps), [['e room a 0'], ['e room c 0']])
  const drained = lane.drain()
  await batches[1]?.answer()
  await drained
  t.same(await Promise.all(again), [true])
})

t.test('who watches goes on removing what is too much for one batch', async (t) => {
  const { lane, batches } = setup()
  const [watches, renewed] = [new FakeDue({ kind: 'watch', room: 'room' }), new FakeDue(enter('a'))]
  lane.add(watches)
  lane.add(renewed)
  lane.push(enter('b')).catch(() => {})
  await settled()
  await batches[0]?.answer(true)
  t.same(batches[1]?.steps, ['w room  0'])
  await batches[1]?.answer(true)
  await batches[2]?.answer()
  t.equal(batches.length, 3)
  t.equal(watches.told.length, 3)
})

t.test('nothing is removed before contact has lasted, nor when it breaks', async (t) => {
  const { lane, batches } = setup()
  const removes = async (ms: number): Promise<Batch['removes'] | undefined> => {
    now += ms
    lane.push(enter('a')).catch(() => {})
    await settled()
    return batches.at(-1)?.removes
  }
  t.same(await removes(0), [0, 0])
  await batches[0]?.answer()
  t.same(await removes(1_000), [0, now + 1_000])
  await batches[1]?.answer()
  t.same(await removes(0), [500, now + 2_000])
  await batches[2]?.fail()
  t.same(await removes(0), [0, 0])
})

t.test('who enters is there under a number, which is renewed, and ends at the end', async (t) => {
  const { lane, batches } = setup()
  lane.renewLife()
  lane.kick()
  await settled()
  t.same(batches, [], 'there is nobody')
  lane.push({ kind: 'watch', room: 'room' }).catch(() => {})
  await settled()
  t.same(batches[0]?.life, [0, 1, 90_000])
  await batches[0]?.answer()
  lane.push(enter('a')).catch(() => {})
  await settled()
  const number = Number(batches[1]?.life[0])
  t.ok(number > 0)
  t.same(batches[1]?.life, [number, 1, 90_000])
  await batches[1]?.fail()
  lane.push(enter('b')).catch(() => {})
  await settled()
  t.same(batches[2]?.life, [number, 1, 90_000], 'it may have begun')
  await batches[2]?.answer()
  lane.renewLife()
  lane.kick()
  await settled()
  t.same([batches[3]?.life, batches[3]?.steps], [[number, 0, 90_000], []])
  await batches[3]?.fail()
  t.equal(batches.length, 4, 'not by itself')
  lane.kick()
  await settled()
  await batches[4]?.answer()
  const closed = lane.close()
  await settled()
  t.same([batches[5]?.life, batches[5]?.steps], [[number, 0, 0], []])
  await batches[5]?.fail()
  await closed
  t.equal(batches.length, 6)
})

t.test('when Redis has taken this node for dead, or has lost its data, all enter again under another number', async (t) => {
  const again = new FakeDue(enter('a'))
  const { lane, batches } = setup((lane) => { lane.add(again) })
  lane.push(enter('a')).catch(() => {})
  await settled()
  await batches[0]?.answer()
  const renewed = new FakeDue(enter('b'))
  lane.add(renewed)
  const left = lane.push({ kind: 'leave', room: 'room', pair: 'c' })
  await settled()
  lane.push(enter('d')).catch(() => {})
  await batches[1]?.over()
  t.same([renewed.told, renewed.failures], [[], 0])
  t.same(batches[2]?.steps, ['l room c 0', 'e room d 0', 'e room b 0', 'e room a 0'])
  t.not(batches[2]?.life[0], batches[0]?.life[0])
  t.equal(batches[2]?.life[1], 1)
  await batches[2]?.answer()
  t.same([await left, renewed.told, again.told], [true, [true], [true]])
})
