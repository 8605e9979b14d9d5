// What a run of the soak did, beside what is promised (docs/guarantees.md).

const key = (...parts) => JSON.stringify(parts)
const place = ({ epoch, offset }) => `${epoch} ${offset}`

/** Finds what does not hold. */
export class Judge {
  /** By kind: a sentence each, and the room that it is about. */
  violations = new Map()
  counts = { heard: 0, gaps: 0, turns: 0, redone: 0, lost: 0, epochs: 0 }
  #run
  /** By room, epoch and offset: the text, and who has said so. */
  #meanings = new Map()
  /** By room: which epoch came before which, as somebody was told. */
  #orders = new Map()
  /** By room: `{ from, to, offset }`, where somebody was told that the log goes on in another epoch, and where it was then. */
  #turns = new Map()
  /** What must be the same text, when all are known. */
  #same = []

  /** @param run `nodes`, `fixed` (those that are there all the time), `losses`, `isFlushed`, `policyOf`, `rooms`, `ends`: by room, the position at the end */
  constructor (run) { this.#run = run }

  judge () {
    const { nodes, rooms } = this.#run
    for (const { views } of nodes) for (const view of views) this.#learnTurns(view)
    for (const node of nodes) {
      for (const fault of node.faults) this.fail('fault', fault)
      for (const view of node.views) this.#view(view)
      this.#answers(node)
      for (const question of node.questions) this.#question(question)
      this.#ephemeral(node)
    }
    this.#refused()
    for (const room of rooms) this.#ends(room)
    this.#places()
    this.#agree()
    for (const room of rooms) this.#untold(room)
    return this.violations
  }

  /** @param room where it is about one */
  fail (kind, text, room = '') {
    const known = this.violations.get(kind)
    if (known === undefined) this.violations.set(kind, [{ text, room }])
    else known.push({ text, room })
  }

  /** An offset of an epoch is one text, whoever says so. */
  #mean (room, epoch, offset, text, at, who) {
    const name = key(room, epoch, offset)
    const known = this.#meanings.get(name)
    if (known === undefined) this.#meanings.set(name, { room, epoch, offset, text, who, at })
    else if (known.text !== text) this.fail('two texts', `${room} ${epoch} ${offset} is "${known.text}" (${known.who}, ${known.at} ms) and "${text}" (${who}, ${at} ms)`, room)
  }

  #learnTurns ({ room, start, events }) {
    let at = start
    for (const { epoch, to, offset } of events) {
      if (epoch !== undefined) {
        if (!this.#turns.has(room)) this.#turns.set(room, [])
        this.#turns.get(room).push({ from: at.epoch, to: epoch, offset: at.offset })
      }
      at = to ?? { epoch: epoch ?? at.epoch, offset: offset ?? at.offset }
    }
  }

  /** Whether the log of an epoch goes on from a position of another one, as far as somebody was told. */
  #goesOn (room, { epoch, offset }, to) {
    return epoch === to || (this.#turns.get(room) ?? []).some((turn) => turn.from === epoch && turn.offset >= offset && turn.to <= to && this.#goesOn(room, { epoch: turn.to, offset }, to))
  }

  /** A place that is one of two epochs has one text. */
  #agree () {
    for (const [room, turns] of this.#turns) {
      for (const { from, to, offset: last } of turns) for (let offset = 1; offset <= last; offset++) this.#same.push({ room, offset, epochs: [from, to], who: 'somebody was told' })
    }
    for (const { room, offset, epochs, who } of this.#same) {
      const [one, other] = epochs.map((epoch) => this.#meanings.get(key(room, epoch, offset)))
      if (one !== undefined && other !== undefined && one.text !== other.text) this.fail('two texts', `${room} ${offset} is "${one.text}" in ${one.epoch} (${one.who}) and "${other.text}" in ${other.epoch} (${other.who}), which goes on from that (${who})`, room)
    }
  }

  /** What was confirmed to a node that is still there, and is lost, all are told of. */
  #untold (room) {
    const { nodes, fixed, ends, policyOf } = this.#run
    const kept = policyOf(room).isLarge ? new Set(ends.get(room).publications.map(({ payload }) => payload)) : null
    const ended = new Map()
    for (const { published, isClosed } of nodes) {
      if (isClosed) continue
      for (const { room: where, text, position, ended: at } of published) if (where === room && position !== null) ended.set(text, { position, at })
    }
    if (kept !== null) for (const text of ended.keys()) if (!kept.has(text)) this.counts.lost++
    for (const { name, current } of fixed) {
      const view = current.get(room)
      if (view === undefined) continue
      let from = view.start
      let had = new Map()
      for (const event of view.events) {
        if (event.to !== undefined && event.to.epoch !== event.from.epoch) {
          from = event.to
          had = new Map()
        } else if (event.text !== undefined) {
          had.set(event.offset, event.text)
        }
      }
      for (const [text, { position, at }] of ended) {
        if (position.epoch < from.epoch) continue
        const other = had.get(position.offset)
        const what = `${name} has been told of no end since ${place(from)}, and "${text}" was confirmed as ${place(position)} at ${at} ms`
        if (other !== undefined && other !== text) this.fail('untold', `${what}, where "${other}" is`, room)
        else if (kept !== null && !kept.has(text)) this.fail('untold', `${what}, which no log has`, room)
      }
    }
  }

  #view ({ node, room, start, events }) {
    let at = start
    const epochs = [start.epoch]
    const seen = new Map()
    const latest = new Map()
    for (const event of events) {
      const where = `${node} in ${room}, ${event.at} ms`
      if (event.to !== undefined) {
        this.#gap(where, room, at, event, epochs)
        at = event.to
        continue
      }
      if (event.epoch !== undefined) {
        this.counts.turns++
        this.#epoch(`${where}: ${place(at)} goes on in ${event.epoch}`, room, event.epoch, epochs)
        at = { epoch: event.epoch, offset: at.offset }
        continue
      }
      const { offset, text } = event
      this.counts.heard++
      if (offset <= at.offset) this.fail('twice', `${where}: offset ${offset} behind ${place(at)}`, room)
      else if (offset !== at.offset + 1) this.fail('hole', `${where}: offset ${offset} behind ${place(at)}`, room)
      at = { epoch: at.epoch, offset }
      this.#mean(room, at.epoch, offset, text, event.at, `${node} was told`)
      const before = seen.get(text)
      if (before !== undefined) {
        if (this.#run.losses.length === 0 || this.#goesOn(room, before, at.epoch)) this.fail('twice', `${where}: "${text}" at ${place(before)} and ${place(at)}`, room)
        else this.counts.redone++
        continue
      }
      seen.set(text, at)
      const [, publisher, number] = /^(\w+)\.(\d+) /.exec(text)
      const last = latest.get(publisher) ?? 0
      if (Number(number) < last) this.fail('order', `${where}: "${text}" at ${place(at)} behind number ${last} of ${publisher}`, room)
      latest.set(publisher, Math.max(last, Number(number)))
    }
  }

  #gap (where, room, at, { at: time, from, to }, epochs) {
    const { losses, isFlushed, policyOf } = this.#run
    this.counts.gaps++
    const what = `${where}: ${place(from)} to ${place(to)}`
    if (from.epoch !== at.epoch || from.offset !== at.offset) this.fail('gap', `${what}, and it was at ${place(at)}`, room)
    if (to.epoch === from.epoch) {
      if (to.offset <= from.offset) this.fail('gap', `${what}: nothing is between`, room)
      if (policyOf(room).isLarge) this.fail('gap in a kept log', what, room)
      return
    }
    this.#epoch(what, room, to.epoch, epochs)
    if (!losses.some((loss) => loss.at <= time)) this.fail('gap without loss', what, room)
    if (policyOf(room).isCalm && !isFlushed) this.fail('gap where nothing was lost', what, room)
  }

  #epoch (what, room, epoch, epochs) {
    if (epochs.includes(epoch)) this.fail('epoch again', what, room)
    for (const before of epochs) this.#follows(room, before, epoch, what)
    epochs.push(epoch)
  }

  #follows (room, before, after, what) {
    const order = this.#orders.get(room) ?? new Set()
    this.#orders.set(room, order.add(key(before, after)))
    if (order.has(key(after, before))) this.fail('order of epochs', `${what}, and elsewhere the other way round`, room)
  }

  #answers (node) {
    const latest = new Map()
    for (const { room, text, position, ended } of node.published) {
      if (position === null) continue
      this.#mean(room, position.epoch, position.offset, text, ended, 'its publisher was told')
      const last = latest.get(key(room, position.epoch)) ?? 0
      if (position.offset <= last) this.fail('order', `"${text}" was confirmed as ${place(position)}, behind ${last}`, room)
      latest.set(key(room, position.epoch), position.offset)
    }
  }

  /** Exactly what lies between, or the word that it is not. */
  #question ({ node, at, room, since, limit, least, answer: { position, publications, recovered } }) {
    const { losses, policyOf } = this.#run
    const { size, mode, isLarge } = policyOf(room)
    const what = `${node} asked for ${room} since ${since === undefined ? 'ever' : place(since)}, ${at} ms, got ${recovered ? '' : 'not '}recovered ${place(position)} with ${publications.map(({ offset }) => offset).join().replace(/(,.{30}).*(.{30})/, '$1 ... $2')}`
    for (const { offset, payload } of publications) this.#mean(room, position.epoch, offset, payload, at, `${node} found in the log`)
    if (losses.length === 0 && least !== undefined && (position.epoch < least.epoch || position.offset < least.offset)) this.fail('history', `${what}, when ${place(least)} had been confirmed`, room)
    if (since === undefined) return
    const isKnown = losses.length === 0 || this.#goesOn(room, since, position.epoch)
    const isBetween = isKnown && since.offset <= position.offset
    if (!recovered) {
      if (publications.length > 0) this.fail('history', `${what}: a part`, room)
      if (isBetween && since.offset === position.offset) this.fail('history', `${what}: nothing is missing`, room)
      if (isBetween && isLarge) this.fail('history', `${what}: the log has all`, room)
      return
    }
    if (since.offset > position.offset) return this.fail('history', `${what}: of another log`, room)
    this.#same.push({ room, offset: since.offset, epochs: [since.epoch, position.epoch], who: what })
    if (mode === 'cache' || size === 0) {
      if (size === 0 && since.offset !== position.offset) this.fail('history', `${what}: nothing is kept`, room)
      return
    }
    const missing = position.offset - since.offset
    const expected = limit === 0 ? missing : Math.min(limit, missing)
    if (publications.length !== expected || publications.some(({ offset }, i) => offset !== since.offset + 1 + i)) this.fail('history', `${what}: not what lies between`, room)
  }

  /** At most once, and those of one node for one room in the order of its calls. */
  #ephemeral (node) {
    const latest = new Map()
    const seen = new Set()
    for (const { room, text } of node.ephemeral) {
      const [, publisher, number] = /^(\w+)\.(\d+) /.exec(text)
      const name = key(room, publisher)
      if (seen.has(text)) {
        if (this.#run.losses.length === 0) this.fail('ephemeral', `${node.name} heard "${text}" twice`, room)
        continue
      }
      seen.add(text)
      if (Number(number) < (latest.get(name) ?? 0)) this.fail('ephemeral', `${node.name} heard "${text}" behind ${latest.get(name)}`, room)
      latest.set(name, Number(number))
    }
  }

  /** What Redis has refused was not done. */
  #refused () {
    const refused = new Map(this.#run.nodes.flatMap(({ published }) => published.filter(({ isRefused }) => isRefused).map((entry) => [entry.text, entry])))
    for (const { text, room, who, ...position } of this.#meanings.values()) {
      if (refused.has(text)) this.fail('refused and done', `"${text}" is ${place(position)} of ${room} (${who}), and was refused at ${refused.get(text).ended} ms: ${refused.get(text).error.message}`, room)
    }
  }

  /** All who are in the room stand where it does, and nothing is beyond that. */
  #ends (room) {
    const { ends, nodes, policyOf, losses } = this.#run
    const { position, publications } = ends.get(room)
    for (const { current, name } of nodes) {
      const at = current.get(room)?.position
      if (at != null && place(at) !== place(position)) this.fail('deaf', `${name} ends at ${place(at)} of ${room}, which is at ${place(position)}`, room)
    }
    for (const { offset, payload } of publications) this.#mean(room, position.epoch, offset, payload, Infinity, 'the log at the end')
    const epochs = new Set()
    for (const known of this.#meanings.values()) {
      if (known.room !== room) continue
      epochs.add(known.epoch)
      if (known.epoch === position.epoch && known.offset > position.offset) this.fail('lost', `"${known.text}" is ${place(known)} of ${room} (${known.who}), which ends at ${place(position)}`, room)
      else if (losses.length === 0 && known.offset > position.offset) this.fail('lost', `"${known.text}" is ${place(known)} of ${room} (${known.who}), which ends at ${place(position)}`, room)
    }
    this.counts.epochs = Math.max(this.counts.epochs, epochs.size)
    if (!policyOf(room).isLarge) return
    const offsets = publications.map(({ offset }) => offset)
    if (offsets.some((offset, i) => offset !== i + 1) || offsets.length !== position.offset) this.fail('lost', `the log of ${room} has ${offsets.length}, which ends at ${place(position)}`, room)
  }

  /** A text has one place in an epoch. */
  #places () {
    const places = new Map()
    for (const { room, epoch, offset, text, who } of this.#meanings.values()) {
      const name = key(room, epoch, text)
      const known = places.get(name)
      if (known !== undefined) this.fail('twice', `"${text}" is ${offset} (${who}) and ${known.offset} (${known.who}) of ${room} ${epoch}`, room)
      places.set(name, { offset, who })
    }
  }
}
