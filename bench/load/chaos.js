// The clients of chaos.js: members that note all they hear, and publishers that note what they are told. `fork('load/chaos.js', [JSON])`.
import { setTimeout as pause } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { createClient, jsonCodec } from '../../dist/lib/client/index.js'
import { answer, quantile } from '../lib.js'
import { judge } from './judge.js'

const { urls, members: MEMBERS, rooms: ROOMS, publishers: PUBLISHERS, rate: RATE, reconnects: RECONNECTS } = JSON.parse(process.argv[2])
/** Rooms of each member. */
const ROOMS_EACH = 2
const AT_ONCE = 50
const PAD = 'x'.repeat(60)
/** Milliseconds after which who has not heard the last publication of a room never will. */
const END_MS = 90_000
const backoff = { min: 300, max: 3_000 }
const END = 'end'

const pick = (list) => list[Math.floor(Math.random() * list.length)]
const roomName = (i) => `room ${i % ROOMS}`

const clients = []
const members = []
const publishers = []
/** What was published: id, room, and what the publisher was told. */
const published = []
/** Answers to joins after the first, and where the server itself sent what the client had: the client drops it. */
const counts = { recovered: 0, unrecovered: 0, unasked: 0, repeated: 0, reconnects: 0, errors: {} }

/** A client that goes to any of the nodes each time. @param onMessage hears each message of the server before the client does */
function client (onMessage) {
  const one = { socket: null, client: null }
  class Socket extends WebSocket {
    constructor (address, protocol) {
      super(address, protocol, { perMessageDeflate: false })
      one.socket = this
    }
  }
  const codec = {
    ...jsonCodec,
    decode: (data) => {
      const message = jsonCodec.decode(data)
      onMessage(message)
      return message
    }
  }
  // Sent again, a publication might be done twice: then that would say nothing about the hub.
  one.client = createClient({ url: () => pick(urls), WebSocket: Socket, codec, backoff, outbox: { resend: false } })
  one.client.on('error', (error) => {
    const what = `${error.code ?? error.name}: ${error.message}`.slice(0, 120)
    counts.errors[what] = (counts.errors[what] ?? 0) + 1
  })
  one.client.open()
  clients.push(one)
  return one.client
}

async function member (i) {
  let latest = null
  const own = new Map()
  const sdk = client((message) => {
    latest = message
    const record = own.get(message.room)
    if (message.op === 'message' && record?.room.joined === true && message.offset <= record.room.position.offset) counts.repeated++
  })
  for (let n = 0; n < ROOMS_EACH; n++) {
    const name = roomName(i + n * 7)
    const room = sdk.room(name)
    const record = { member: i, name, room, start: null, heard: [], gaps: [], ended: false }
    own.set(name, record)
    members.push(record)
    room.on('message', ({ id }, { offset }) => {
      record.heard.push({ epoch: room.position.epoch, offset, id })
      if (id.startsWith(END)) record.ended = true
    })
    room.on('gap', ({ since, position }) => {
      // What the server has said itself: by a word of its own, or in the answer to a join.
      record.gaps.push({ since, position, isTold: latest.op === 'gap' || (latest.op === 'joined' && latest.recovered === false) })
    })
    record.start = await room.join()
    room.on('joined', ({ recovered }) => { counts[recovered === true ? 'recovered' : recovered === false ? 'unrecovered' : 'unasked']++ })
  }
}

function publish (from, name, id) {
  const at = performance.now()
  const entry = { id, name, position: null, code: null, took: 0 }
  published.push(entry)
  return from.room(name).publish({ id, pad: PAD }).then((position) => {
    entry.position = position
    entry.took = performance.now() - at
  }, (error) => { entry.code = error.code })
}

answer({
  open: async () => {
    for (let done = 0; done < MEMBERS; done += AT_ONCE) {
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, MEMBERS - done) }, (_, i) => member(done + i)))
    }
    for (let i = 0; i < PUBLISHERS; i++) publishers.push(client(() => {}))
  },
  run: async (ms) => {
    const open = new Set()
    const from = performance.now()
    let sent = 0
    let cut = 0
    while (performance.now() - from < ms) {
      const seconds = (performance.now() - from) / 1_000
      for (; sent < seconds * RATE; sent++) {
        const promise = publish(publishers[sent % PUBLISHERS], roomName(Math.floor(Math.random() * ROOMS)), `${sent % PUBLISHERS}.${sent}`)
        open.add(promise)
        promise.finally(() => { open.delete(promise) })
      }
      for (; cut < seconds * RECONNECTS; cut++) {
        const one = pick(clients)
        counts.reconnects++
        if (cut % 2 === 0) one.client.reconnect()
        else one.socket?.terminate()
      }
      await pause(5)
    }
    await Promise.all(open)
  },
  end: async () => {
    const from = performance.now()
    // Each room until it has been said: what comes behind all others.
    await Promise.all(Array.from({ length: ROOMS }, async (_, i) => {
      for (let n = 0; performance.now() - from < END_MS; n++) {
        await publish(publishers[i % PUBLISHERS], roomName(i), `${END} ${i} ${n}`)
        if (published.some(({ id, position }) => position !== null && id.startsWith(`${END} ${i} `))) return
        await pause(200)
      }
    }))
    while (performance.now() - from < END_MS && members.some(({ ended }) => !ended)) await pause(50)
    const settled = performance.now() - from
    // Whoever hears something twice may hear it late.
    await pause(1_000)
    const took = published.filter(({ position }) => position !== null).map((entry) => entry.took)
    return { ...judge(members, published), ...counts, settled, took: [0.5, 0.99, 1].map((share) => quantile(took, share)), states: [...new Set(members.filter(({ ended }) => !ended).map(({ member: i, name, room }) => `${i} ${name} joined ${room.joined} ${JSON.stringify(room.position)} ${JSON.stringify(clients[i].client.state)}`))].slice(0, 10) }
  }
})
process.send({})
